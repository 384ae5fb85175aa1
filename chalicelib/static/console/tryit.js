// Try it, in development: place an order, choose its fate, and take it through its life as customer and as runner while the operator looks on.
// An admin's token may do all of this for others, so one is enough.

import { html, useState } from "./preact-htm.js";
import { ask, newId } from "./api.js";
import { allowedBy } from "./actions.js";
import { Food, useTimeline } from "./order.js";
import { SagaDiagram } from "./pictures.js";
import { Empty, Freshness, Heading, Loaded, Problem, Said, State, money } from "./ui.js";

// What the simulated partners do with a customer or runner whose id begins so.
const FATES = {
  customer: { "": "All goes well", declined_: "The payment is declined", rejected_: "The customer is rejected", noescrow_: "Escrow refuses the money", silent_: "The payment service falls silent" },
  runner: { "": "All goes well", rejected_: "The runner is rejected", noescrow_: "Escrow refuses the runner" },
};
const DETAILS = {
  foodItems: [{ name: "Chicken rice", price: "4.50", quantity: 2 }],
  storeLocation: "Koufu",
  deliveryLocation: "Hall 5, room 210",
};
const NEXT = { COLLECTED: "Collected", ON_THE_WAY: "On the way", DELIVERED: "Delivered" };

export function TryPage({ id }) {
  const [fate, setFate] = useState("");
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  async function place(event) {
    event.preventDefault();
    setBusy(true);
    const answer = await ask("POST", "api/orders", { body: { customerId: `${fate}cust_1`, orderDetails: DETAILS }, key: newId() });
    setBusy(false);
    setProblem(answer.problem);
    if (answer.ok) location.hash = `/try/${answer.body.order.orderId}`;
  }
  return html`
    <${Heading} title="Try it" />
    <form class="card place" onSubmit=${place}>
      <label>What shall become of the order?
        <select value=${fate} onChange=${(event) => setFate(event.target.value)}>${options(FATES.customer)}</select>
      </label>
      <button class="primary" disabled=${busy}>${busy ? "Placing …" : "Place an order"}</button>
      <p class="small">Two portions of chicken rice from Koufu to Hall 5, by the customer ${fate}cust_1: the simulated partners decide by how that id begins.</p>
    </form>
    ${problem && html`<${Problem} of=${problem} />`}
    ${id ? html`<${Running} key=${id} id=${id} />` : html`<${Empty}>Place an order: a customer's, a runner's and an operator's view of it then stand here side by side.<//>`}`;
}

const options = (fates) => Object.entries(fates).map(([prefix, words]) => html`<option key=${prefix} value=${prefix}>${words}</option>`);

function Running({ id }) {
  const live = useTimeline(id);
  return html`
    <${Freshness} live=${live} />
    <${Loaded} live=${live}>${(timeline) => html`
      <div class="thirds">
        <${CustomerView} timeline=${timeline} again=${live.again} />
        <${RunnerView} timeline=${timeline} again=${live.again} />
        <${OperatorView} timeline=${timeline} />
      </div>`}<//>`;
}

/** A button for what the API says may be done; the answer shows in what the page looks at again. */
function Do({ action, body, children, primary, again }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  const { allowed, reason } = allowedBy(action);
  async function act() {
    setBusy(true);
    const answer = await ask(action.method, action.path, { body: body ?? action.body ?? undefined, key: action.method === "POST" ? newId() : undefined });
    setBusy(false);
    setProblem(answer.problem);
    again();
  }
  return html`
    <button type="button" class=${primary ? "primary" : null} disabled=${busy || !allowed} title=${reason} onClick=${act}>${children}</button>
    ${problem && html`<${Problem} of=${problem} />`}`;
}

const actionOf = (timeline, name) => timeline.actions.find((each) => each.name === name) ?? { allowed: false, reason: "not for this token" };

const SAID_TO_CUSTOMER = {
  CREATED: "We have your order and check it.",
  PENDING_PAYMENT: "We ask your bank.",
  PAYMENT_AUTHORIZED: "Your bank agrees; we put the money aside.",
  READY_FOR_PICKUP: "Your order is open: a runner will take it.",
  ACCEPTED: "A runner has taken your order.",
  COLLECTED: "Your runner has the food.",
  ON_THE_WAY: "Your food is on its way.",
  DELIVERED: "Your food is there. Enjoy it!",
  COMPLETED: "All done, and your runner is paid.",
  CANCELLED: "Your order is cancelled.",
  TIMED_OUT: "No runner was found in time; you pay nothing.",
};

function CustomerView({ timeline, again }) {
  const { order } = timeline;
  return html`
    <section class="card view" aria-labelledby="customer">
      <h2 id="customer">The customer <span class="small">${order.customerId}</span></h2>
      <p class="said" role="status">${SAID_TO_CUSTOMER[order.orderStatus]}</p>
      <${Card} order=${order} />
      ${order.cancelReason && html`<p class="small">Because: ${order.cancelReason}</p>`}
      <div class="actions">
        <${Do} action=${actionOf(timeline, "complete")} again=${again} primary>I have my food<//>
        <${Do} action=${actionOf(timeline, "cancel")} body=${{ reason: "Changed my mind" }} again=${again}>Cancel<//>
      </div>
    </section>`;
}

const Card = ({ order }) => html`
  <div class="order-card">
    <p><strong><${Food} items=${order.foodItems} /></strong></p>
    <p class="small">${order.storeLocation} → ${order.deliveryLocation}</p>
    <p>${money(order.total, order.currency)}</p>
    <p><${State} of=${order.orderStatus} /></p>
    <p><${State} of=${order.paymentStatus} /> <span class="small">payment</span></p>
  </div>`;

function RunnerView({ timeline, again }) {
  const { order } = timeline;
  const [fate, setFate] = useState("");
  const accept = actionOf(timeline, "accept"), status = actionOf(timeline, "status");
  const steps = Object.keys(NEXT);
  const reached = steps.indexOf(order.orderStatus);
  return html`
    <section class="card view" aria-labelledby="runner">
      <h2 id="runner">The runner <span class="small">${order.runnerId ?? `${fate}run_1`}</span></h2>
      <p class="said" role="status">${saidToRunner(order)}</p>
      <label>What shall become of the acceptance?
        <select value=${fate} disabled=${!accept.allowed} onChange=${(event) => setFate(event.target.value)}>${options(FATES.runner)}</select>
      </label>
      <div class="actions">
        <${Do} action=${accept} body=${{ runnerId: `${fate}run_1` }} again=${again} primary>Accept<//>
        <${Do} action=${actionOf(timeline, "cancel-acceptance")} again=${again}>Give back<//>
      </div>
      <ol class="steps">
        ${steps.map((name, index) => html`
          <li key=${name}><${Do} again=${again} body=${{ status: name }}
            action=${{ ...status, allowed: status.allowed && status.body?.status === name, reason: index <= reached ? "done" : status.reason ?? "not the next one" }}>${NEXT[name]}<//></li>`)}
      </ol>
    </section>`;
}

function saidToRunner(order) {
  if (order.orderStatus === "READY_FOR_PICKUP") return order.activeSagaId ? "Somebody is about to take this order." : `An open order: you earn ${money(order.deliveryFee, order.currency)}.`;
  if (order.orderStatus === "COMPLETED") return "Delivered, and you are paid.";
  if (["CANCELLED", "TIMED_OUT"].includes(order.orderStatus)) return "This order is gone.";
  return order.runnerId ? "Your order: bring it." : "There is no open order yet.";
}

function OperatorView({ timeline }) {
  const newest = timeline.sagas.at(-1);
  return html`
    <section class="card view" aria-labelledby="operator">
      <h2 id="operator">The operator</h2>
      ${newest && html`
        <p class="said long"><a href="#/sagas/${newest.saga.sagaId}">${newest.saga.name}</a> <${Said} text=${newest.sentence} /></p>
        <${SagaDiagram} saga=${newest.saga} path=${newest.path} waitsFor=${newest.waitsFor} />`}
      <p><a href="#/orders/${timeline.order.orderId}">The order's whole life</a></p>
    </section>`;
}
