// One order: what it is, where it stands, and all that has happened to it.

import { html } from "./preact-htm.js";
import { Facts, Freshness, Heading, Id, Loaded, State, Time, money, useLive } from "./ui.js";

const LOOK_MS = 2000;

export function OrderPage({ id }) {
  const path = `api/orders/${encodeURIComponent(id)}`;
  const order = useLive(path, LOOK_MS);
  const history = useLive(`${path}/history`, LOOK_MS);
  return html`
    <${Heading} title=${`Order ${id}`} aside=${html`<${Freshness} live=${order} />`}>Order <code class="id">${id}</code><//>
    <${Loaded} live=${order}>${(found) => html`
      <section class="card" aria-labelledby="facts"><h2 id="facts">Order</h2><${OrderFacts} order=${found} /></section>
      <section class="card" aria-labelledby="history"><h2 id="history">History</h2>
        <${Loaded} live=${history}>${(entries) => html`<${History} entries=${entries.items} />`}<//>
      </section>`}<//>`;
}

export const OrderFacts = ({ order }) => html`
  <${Facts} rows=${[
    ["Status", html`<${State} of=${order.orderStatus} />`],
    ["Payment", html`<${State} of=${order.paymentStatus} />`],
    ["Total", `${money(order.total, order.currency)} (food ${order.foodFee}, delivery ${order.deliveryFee})`],
    ["Food", order.foodItems.map((item) => `${item.quantity} × ${item.name}`).join(", ")],
    ["From", order.storeLocation],
    ["To", order.deliveryLocation],
    ["Customer", order.customerId],
    ["Runner", order.runnerId],
    ["Placed", html`<${Time} at=${order.createdAt} />`],
    ["Changed", html`<${Time} at=${order.updatedAt} />`],
    ...(order.acceptBy ? [["To be accepted by", html`<${Time} at=${order.acceptBy} />`]] : []),
    ...(order.cancelReason ? [["Cancelled because", order.cancelReason]] : []),
    ["Held by saga", order.activeSagaId ? html`<${Id} id=${order.activeSagaId} />` : "none"],
    ["Version", order.version],
  ]} />`;

const History = ({ entries }) => html`
  <table class="stacked">
    <caption class="unseen">All changes of the order, oldest first</caption>
    <thead><tr><th scope="col">Time</th><th scope="col">Version</th><th scope="col">Status</th><th scope="col">Payment</th><th scope="col">By</th></tr></thead>
    <tbody>
      ${entries.map((entry) => html`
        <tr key=${entry.version}>
          <td data-label="Time"><${Time} at=${entry.at} /></td>
          <td data-label="Version">${entry.version}</td>
          <td data-label="Status"><${State} of=${entry.to} /></td>
          <td data-label="Payment"><${State} of=${entry.paymentTo} /></td>
          <td data-label="By">${entry.actor}</td>
        </tr>`)}
    </tbody>
  </table>`;
