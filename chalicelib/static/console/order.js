// One order: what it is, what may be done about it, and all that has happened to it, as a picture and as a table.

import { html } from "./preact-htm.js";
import { ActionButton, allowedBy } from "./actions.js";
import { lifeOf } from "./life.js";
import { LetterList } from "./letters.js";
import { Timeline } from "./pictures.js";
import { Empty, Facts, Freshness, Heading, Id, Loaded, Said, Shape, State, Time, kindOf, money, useLive } from "./ui.js";

const BUSY_MS = 1500;
const QUIET_MS = 5000;
const TITLES = { accept: "Accept", "cancel-acceptance": "Give back", cancel: "Cancel the order", complete: "Complete" };
const QUESTIONS = { reason: "Reason", runnerId: "Runner" };

const pace = (timeline) => (timeline?.order.activeSagaId ? BUSY_MS : QUIET_MS);

/** The timeline of an order, looked at often while a saga holds it. */
export const useTimeline = (id) => useLive(`api/orders/${encodeURIComponent(id)}/timeline`, pace);

export function OrderPage({ id }) {
  const live = useTimeline(id);
  return html`
    <${Heading} title=${`Order ${id}`} aside=${html`<${Freshness} live=${live} />`}>Order <code class="id">${id}</code><//>
    <${Loaded} live=${live}>${(timeline) => html`<${Found} timeline=${timeline} again=${live.again} />`}<//>`;
}

function Found({ timeline, again }) {
  const { order, sagas } = timeline;
  const holder = sagas.find((each) => each.saga.sagaId === order.activeSagaId);
  const life = lifeOf(timeline);
  return html`
    ${holder && html`<${Sentence} explained=${holder} />`}
    <section class="card" aria-labelledby="facts">
      <h2 id="facts">What it is</h2>
      <${OrderFacts} order=${order} />
      <div class="actions" role="group" aria-label="What you may do">
        ${timeline.actions.map((action) => html`<${OrderAction} key=${action.name} action=${action} done=${again} />`)}
      </div>
    </section>
    <section class="card" aria-labelledby="life">
      <h2 id="life">What has happened</h2>
      <${Timeline} rows=${life.rows} spans=${life.spans} sagas=${sagas.length} />
      <p class="small">▸ a command is sent, ◂ a reply is received; other shapes are states. Commands are rebuilt from the saga's data; of a command that was sent several times only the number and the last time are kept.</p>
    </section>
    <section class="card" aria-labelledby="sagas">
      <h2 id="sagas">Sagas</h2>
      ${sagas.length === 0 ? html`<${Empty}>You may not see this order's sagas, or there are none.<//>` : html`<${Sagas} sagas=${sagas} />`}
    </section>
    ${timeline.deadLetters.length > 0 && html`
      <section class="card" aria-labelledby="letters"><h2 id="letters">Dead letters</h2><${LetterList} letters=${timeline.deadLetters} /></section>`}
    <section class="card" aria-labelledby="table">
      <h2 id="table">The same as a table</h2>
      <details><summary>${life.rows.length} events</summary><${LifeTable} rows=${life.rows} /></details>
    </section>`;
}

/** Why a saga is where it is, in the API's words, with the way to its page. */
export const Sentence = ({ explained }) => html`
  <p class="sentence ${kindOf(explained.saga.status)}">
    <${State} of=${explained.saga.status} />
    <span><a href="#/sagas/${explained.saga.sagaId}">${explained.saga.name}</a> <${Said} text=${explained.sentence} /></span>
  </p>`;

function OrderAction({ action, done }) {
  const asked = {
    title: action.name === "status" ? `Set ${action.body.status}` : TITLES[action.name] ?? action.name,
    says: "The request goes to the API with your token, and the order's history names you.",
    method: action.method,
    path: action.path,
    body: action.body,
    asks: action.asks.map((name) => ({ name, label: QUESTIONS[name] ?? name, required: action.required.includes(name) })),
  };
  return html`<${ActionButton} action=${asked} ...${allowedBy(action)} done=${done} />`;
}

/** What was ordered. Each name stands for itself: one that is written from right to left turns nothing beside it round. */
export const Food = ({ items }) => items.map((item, index) => html`${index > 0 && ", "}${item.quantity} × <bdi>${item.name}</bdi>`);

export const OrderFacts = ({ order }) => html`
  <${Facts} rows=${[
    ["Status", html`<${State} of=${order.orderStatus} />`],
    ["Payment", html`<${State} of=${order.paymentStatus} />`],
    ["Total", `${money(order.total, order.currency)} (food ${order.foodFee}, delivery ${order.deliveryFee})`],
    ["Food", html`<${Food} items=${order.foodItems} />`],
    ["From", order.storeLocation],
    ["To", order.deliveryLocation],
    ["Customer", order.customerId],
    ["Runner", order.runnerId],
    ["Placed", html`<${Time} at=${order.createdAt} />`],
    ["Last changed", html`<${Time} at=${order.updatedAt} />`],
    ["To be accepted by", html`<${Time} at=${order.acceptBy} />`],
    ["Held by saga", order.activeSagaId ? html`<${Id} id=${order.activeSagaId} to="#/sagas/${order.activeSagaId}" />` : "none"],
    ["Payment id", order.paymentId && html`<code class="id">${order.paymentId}</code>`],
    ["Escrow id", order.escrowId && html`<code class="id">${order.escrowId}</code>`],
    ...(order.cancelReason ? [["Cancelled because", order.cancelReason]] : []),
    ["Version", order.version],
  ]} />`;

const Sagas = ({ sagas }) => html`
  <ul class="rows">
    ${sagas.map((each) => html`
      <li key=${each.saga.sagaId}>
        <${State} of=${each.saga.status} />
        <span><a href="#/sagas/${each.saga.sagaId}">${each.saga.name}</a> <span class="small">began <${Time} at=${each.saga.startedAt} />; <${Said} text=${each.sentence} /></span></span>
      </li>`)}
  </ul>`;

const LifeTable = ({ rows }) => html`
  <table class="stacked">
    <caption class="unseen">All that has happened to the order, oldest first</caption>
    <thead><tr><th scope="col">Time</th><th scope="col">What</th><th scope="col">More</th></tr></thead>
    <tbody>
      ${rows.map((row) => html`
        <tr key=${row.key}>
          <td data-label="Time"><${Time} at=${row.at} /></td>
          <td data-label="What"><span class="state ${row.kind}"><${Shape} kind=${row.kind} /><span class="wrap">${DIRECTIONS[row.mark] ?? ""}${row.what}</span></span></td>
          <td data-label="More">${row.more || "–"}</td>
        </tr>`)}
    </tbody>
  </table>`;

const DIRECTIONS = { sent: "sent: ", received: "received: " };
