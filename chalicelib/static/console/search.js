// What is found by an id: an order's, saga's, dead letter's, customer's, runner's or a correlation id.

import { html } from "./preact-htm.js";
import { Empty, Freshness, Heading, Loaded, State, useLive } from "./ui.js";

const LOOK_MS = 10000;
const KINDS = { order: "Order", saga: "Saga", deadLetter: "Dead letter", customer: "Customer", runner: "Runner", correlation: "Correlation id" };

export function SearchPage({ query }) {
  const text = (query.get("q") ?? "").trim();
  const live = useLive(text ? `api/search?${new URLSearchParams({ q: text })}` : null, LOOK_MS);
  return html`
    <${Heading} title="Search" aside=${text && html`<${Freshness} live=${live} />`} />
    ${text ? html`<${Loaded} live=${live}>${(found) => html`<${Results} items=${found.items} text=${text} />`}<//>` : html`<${Empty}>Enter an id above.<//>`}`;
}

function Results({ items, text }) {
  const people = [...new Set(items.map((item) => item.kind))].filter((kind) => PEOPLE[kind]);
  return html`
    <p role="status">${items.length === 0 ? "Nothing" : items.length} found for <code class="id">${text}</code>.</p>
    ${items.length === 0 && html`<${Empty}>No order, saga, dead letter, customer, runner or correlation id that you may see is called so. Ids must be whole.<//>`}
    ${people.map((kind) => html`<p key=${kind}><a href="#/orders?${new URLSearchParams({ [PEOPLE[kind]]: text })}">All orders of this ${kind}</a></p>`)}
    ${items.length > 0 && html`
      <ul class="rows card">
        ${items.map((item, index) => html`
          <li key=${index}>
            <span class="kind">${KINDS[item.kind] ?? item.kind}</span>
            <span><a href=${placeOf(item)}>${item.title}</a><br /><code class="id small">${item.kind in PEOPLE || item.kind === "correlation" ? item.orderId : item.id}</code></span>
            ${item.status && html`<${State} of=${item.status} />`}
          </li>`)}
      </ul>`}`;
}

// The filter of the list of orders for a kind of person.
const PEOPLE = { customer: "customerId", runner: "runnerId" };

function placeOf({ kind, id, orderId }) {
  if (kind === "saga") return `#/sagas/${id}`;
  if (kind === "deadLetter") return `#/dead-letters/${id}`;
  return `#/orders/${orderId}`;
}
