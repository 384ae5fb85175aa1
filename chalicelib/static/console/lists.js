// The lists of orders and of sagas that the reader may see, newest first, by filters that stand in the address.

import { html, useEffect, useState } from "./preact-htm.js";
import { Empty, Freshness, Heading, Loaded, State, Time, money, useLive } from "./ui.js";

const ORDER_STATUSES = [
  "CREATED", "PENDING_PAYMENT", "PAYMENT_AUTHORIZED", "READY_FOR_PICKUP", "ACCEPTED", "COLLECTED", "ON_THE_WAY", "DELIVERED",
  "COMPLETED", "CANCELLED", "TIMED_OUT",
];
const SAGA_STATUSES = ["RUNNING", "COMPENSATING", "FAILED", "COMPLETED", "COMPENSATED"];
const SAGA_NAMES = ["create_order", "accept_order", "complete_order", "cancel_acceptance", "cancel_order"];
const LOOK_MS = 5000;
const ON_A_PAGE = 25;

const ORDERS = {
  title: "Orders",
  path: "orders",
  filters: { status: ["Status", ORDER_STATUSES], customerId: ["Customer"], runnerId: ["Runner"] },
  columns: ["Order", "Status", "Payment", "Customer", "Runner", "Total", "Placed"],
  key: (order) => order.orderId,
  cells: (order) => [
    html`<a class="id" href="#/orders/${order.orderId}">${order.orderId}</a>`,
    html`<${State} of=${order.orderStatus} />`,
    html`<${State} of=${order.paymentStatus} />`,
    order.customerId,
    order.runnerId ?? "–",
    money(order.total, order.currency),
    html`<${Time} at=${order.createdAt} />`,
  ],
};

const SAGAS = {
  title: "Sagas",
  path: "sagas",
  filters: { status: ["Status", SAGA_STATUSES], name: ["Saga", SAGA_NAMES], orderId: ["Order"] },
  columns: ["Saga", "Name", "Status", "At", "Order", "Began", "Ended"],
  key: (saga) => saga.sagaId,
  cells: (saga) => [
    html`<a class="id" href="#/sagas/${saga.sagaId}">${saga.sagaId}</a>`,
    saga.name,
    html`<${State} of=${saga.status} />`,
    saga.currentStep ?? "–",
    html`<a class="id" href="#/orders/${saga.orderId}">${saga.orderId}</a>`,
    html`<${Time} at=${saga.startedAt} />`,
    html`<${Time} at=${saga.endedAt} />`,
  ],
};

export const OrdersPage = ({ query }) => html`<${ListPage} key="orders" list=${ORDERS} query=${query} />`;
export const SagasPage = ({ query }) => html`<${ListPage} key="sagas" list=${SAGAS} query=${query} />`;

const addressOf = (list, query) => (String(query) ? `/${list.path}?${query}` : `/${list.path}`);

function ListPage({ list, query }) {
  const filters = Object.keys(list.filters).filter((name) => query.get(name)).map((name) => [name, query.get(name)]);
  const asked = new URLSearchParams([...filters, ["cursor", query.get("cursor") ?? ""], ["limit", ON_A_PAGE]]);
  const live = useLive(`api/${list.path}?${asked}`, LOOK_MS);
  const address = (more) => `#${addressOf(list, new URLSearchParams([...filters, ...more]))}`;
  return html`
    <${Heading} title=${list.title} aside=${html`<${Freshness} live=${live} />`} />
    <${Filters} list=${list} query=${query} />
    <${Loaded} live=${live}>${(page) => html`
      ${page.items.length === 0 ? html`<${Empty}>There are none${filters.length ? " by these filters" : " yet"}.<//>` : html`<${Rows} list=${list} items=${page.items} />`}
      <nav class="pager" aria-label="Older and newer">
        ${query.get("cursor") && html`<a href=${address([])}>Newest</a>`}
        ${page.nextCursor && html`<a href=${address([["cursor", page.nextCursor]])}>Older</a>`}
      </nav>`}<//>`;
}

/** A choice takes effect at once, a text when it is entered. */
function Filters({ list, query }) {
  const change = (name) => (event) => {
    const next = new URLSearchParams(query);
    next.delete("cursor");
    if (event.target.value.trim()) next.set(name, event.target.value.trim());
    else next.delete(name);
    location.hash = addressOf(list, next);
  };
  return html`
    <div class="filters" role="search" aria-label="Filters">
      ${Object.entries(list.filters).map(([name, [label, choices]]) => html`
        <label key=${name}>${label}
          ${choices
            ? html`<select value=${query.get(name) ?? ""} onChange=${change(name)}>
                <option value="">all</option>${choices.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}
              </select>`
            : html`<${TextFilter} value=${query.get(name) ?? ""} onChange=${change(name)} />`}
        </label>`)}
    </div>`;
}

/** What is being typed stays while the page looks again, and gives way to another address. */
function TextFilter({ value, onChange }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  return html`<input type="text" placeholder="any" spellcheck="false" value=${text} onInput=${(event) => setText(event.target.value)} onChange=${onChange} />`;
}

const Rows = ({ list, items }) => html`
  <table class="stacked">
    <caption class="unseen">${list.title}, newest first</caption>
    <thead><tr>${list.columns.map((column) => html`<th key=${column} scope="col">${column}</th>`)}</tr></thead>
    <tbody>
      ${items.map((item) => html`
        <tr key=${list.key(item)}>${list.cells(item).map((cell, index) => html`<td key=${index} data-label=${list.columns[index]}>${cell}</td>`)}</tr>`)}
    </tbody>
  </table>`;
