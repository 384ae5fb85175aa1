// The list of orders that the reader may see, newest first.

import { html } from "./preact-htm.js";
import { Empty, Freshness, Heading, Loaded, State, Time, money, useLive } from "./ui.js";

const STATUSES = [
  "CREATED", "PENDING_PAYMENT", "PAYMENT_AUTHORIZED", "READY_FOR_PICKUP", "ACCEPTED", "COLLECTED", "ON_THE_WAY", "DELIVERED",
  "COMPLETED", "CANCELLED", "TIMED_OUT",
];
const LOOK_MS = 5000;
const ON_A_PAGE = 25;

export function OrdersPage({ query }) {
  const status = query.get("status") ?? "";
  const asked = new URLSearchParams({ cursor: query.get("cursor") ?? "", limit: ON_A_PAGE });
  if (status) asked.set("status", status);
  const live = useLive(`api/orders?${asked}`, LOOK_MS);
  return html`
    <${Heading} title="Orders" aside=${html`<${Freshness} live=${live} />`} />
    <div class="filters">
      <label>Status
        <select value=${status} onChange=${(event) => { location.hash = event.target.value ? `/orders?status=${event.target.value}` : "/orders"; }}>
          <option value="">all</option>
          ${STATUSES.map((each) => html`<option key=${each} value=${each}>${each}</option>`)}
        </select>
      </label>
    </div>
    <${Loaded} live=${live}>${(page) => html`<${List} page=${page} status=${status} isFirst=${!query.get("cursor")} />`}<//>`;
}

function List({ page, status, isFirst }) {
  if (page.items.length === 0) return html`<${Empty}>${status ? `No order is ${status}.` : "There is no order yet."}<//>`;
  const link = (cursor) => `#/orders?${new URLSearchParams({ ...(status && { status }), ...(cursor && { cursor }) })}`;
  return html`
    <table class="stacked">
      <caption class="unseen">Orders, newest first</caption>
      <thead>
        <tr><th scope="col">Order</th><th scope="col">Status</th><th scope="col">Payment</th><th scope="col">Customer</th><th scope="col">Runner</th>
          <th scope="col" class="number">Total</th><th scope="col">Placed</th></tr>
      </thead>
      <tbody>
        ${page.items.map((order) => html`
          <tr key=${order.orderId}>
            <td data-label="Order"><a class="id" href="#/orders/${order.orderId}">${order.orderId}</a></td>
            <td data-label="Status"><${State} of=${order.orderStatus} /></td>
            <td data-label="Payment"><${State} of=${order.paymentStatus} /></td>
            <td data-label="Customer">${order.customerId}</td>
            <td data-label="Runner">${order.runnerId ?? "–"}</td>
            <td data-label="Total" class="number">${money(order.total, order.currency)}</td>
            <td data-label="Placed"><${Time} at=${order.createdAt} /></td>
          </tr>`)}
      </tbody>
    </table>
    <nav class="pager" aria-label="Older and newer orders">
      ${!isFirst && html`<a href=${link("")}>Newest orders</a>`}
      ${page.nextCursor && html`<a href=${link(page.nextCursor)}>Older orders</a>`}
    </nav>`;
}
