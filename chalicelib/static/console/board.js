// The board: what is under way, what needs an operator, and what the last hour was like.

import { html } from "./preact-htm.js";
import { Columns } from "./pictures.js";
import { Empty, Freshness, Heading, Loaded, Shape, State, Time, count, duration, useLive, useNow } from "./ui.js";

const LOOK_MS = 2000;

export function BoardPage() {
  const live = useLive("api/board", LOOK_MS);
  return html`
    <${Heading} title="Board" aside=${html`<${Freshness} live=${live} />`} />
    <${Loaded} live=${live}>${(board) => html`
      <${Needs} board=${board} />
      <div class="halves">
        <section class="card" aria-labelledby="orders"><h2 id="orders">Orders under way</h2><${Orders} board=${board} /></section>
        <section class="card" aria-labelledby="sagas"><h2 id="sagas">Sagas under way</h2><${Sagas} sagas=${board.sagas} /></section>
      </div>
      <section aria-labelledby="hour"><h2 id="hour" class="unseen">The last hour, minute by minute</h2><${Hour} minutes=${board.minutes} /></section>
      <p class="small">Version ${board.version}. The minutes are sampled once a minute; everything else is counted as it is now.</p>`}<//>`;
}

// ---- what needs somebody

function Needs({ board }) {
  const suspended = board.sagas.filter((each) => each.status === "FAILED");
  const total = suspended.reduce((sum, each) => sum + each.number, 0);
  const { outbox, deadLetters, invariants } = board;
  const letters = deadLetters.byError.map((each) => `${each.number} ${each.errorClass}`).join(", ");
  return html`
    <div class="needs">
      <${Need} name="Suspended sagas" number=${count(total, suspended.some((each) => each.atLeast))} bad=${total > 0} to="#/suspended"
        says=${total ? "wait for an operator or a late reply" : "each goes on by itself"} />
      <${Need} name="Dead letters" number=${count(deadLetters.waiting, deadLetters.atLeast)} bad=${deadLetters.waiting > 0} to="#/dead-letters"
        says=${letters || "every record was taken"} />
      <${Need} name="Outbox" number=${count(outbox.waiting, outbox.atLeast)} says=${html`<${OutboxAge} oldestAt=${outbox.oldestAt} />`} />
      <${Need} name="Broken invariants" number=${invariants.violations} bad=${invariants.violations > 0}
        says=${invariants.at ? html`looked at <${Time} at=${invariants.at} />` : "not looked at yet"} />
    </div>`;
}

const Need = ({ name, number, says, bad, to }) => html`
  <section class="card need ${bad ? "bad" : ""}" aria-label=${name}>
    <h2>${to ? html`<a href=${to}>${name}</a>` : name}</h2>
    <p class="big"><${Shape} kind=${bad ? "failed" : number === null ? "idle" : "done"} width="20" height="20" />${number ?? "–"}<span class="unseen"> ${bad ? "needs attention" : number === null ? "not known" : "all is well"}</span></p>
    <p class="small">${says}</p>
  </section>`;

function OutboxAge({ oldestAt }) {
  const now = useNow();
  return oldestAt ? `oldest message ${duration(Math.max(0, now - new Date(oldestAt)))} old` : "no message waits to be published";
}

// ---- orders and sagas

function Orders({ board }) {
  const most = Math.max(1, ...board.orders.map((each) => each.number));
  return html`
    <table class="bars">
      <caption class="unseen">Orders by status, in the order of an order's life</caption>
      <thead class="unseen"><tr><th scope="col">Status</th><th scope="col">Number</th><th scope="col">Share</th></tr></thead>
      <tbody>
        ${board.orders.map((each) => html`
          <tr key=${each.status}>
            <th scope="row"><${State} of=${each.status} /></th>
            <td class="number"><a href="#/orders?status=${each.status}" aria-label=${`${count(each.number, each.atLeast)} orders ${each.status}`}>${count(each.number, each.atLeast)}</a></td>
            <td><svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect width=${(each.number / most) * 100} height="10" rx="1" /></svg></td>
          </tr>`)}
      </tbody>
    </table>
    <h3>Ended in the last 24 hours</h3>
    <div class="ends">
      ${board.ended.map((each) => html`
        <p key=${each.status}><${State} of=${each.status} /> <a href="#/orders?status=${each.status}" aria-label=${`${each.number} orders ${each.status}`}>${each.number.toLocaleString()}</a></p>`)}
    </div>`;
}

const SAGA_STATES = ["RUNNING", "COMPENSATING", "FAILED"];

function Sagas({ sagas }) {
  const names = [...new Set(sagas.map((each) => each.name))];
  if (names.length === 0) return html`<${Empty}>No saga is under way.<//>`;
  const of = (name, status) => sagas.find((each) => each.name === name && each.status === status);
  return html`
    <table class="stacked">
      <caption class="unseen">Sagas that have not ended, by name and state</caption>
      <thead><tr><th scope="col">Saga</th>${SAGA_STATES.map((each) => html`<th key=${each} scope="col" class="number"><${State} of=${each} /></th>`)}</tr></thead>
      <tbody>
        ${names.map((name) => html`
          <tr key=${name}>
            <th scope="row">${name}</th>
            ${SAGA_STATES.map((status) => html`<td key=${status} data-label=${status} class="number"><${SagaNumber} found=${of(name, status)} /></td>`)}
          </tr>`)}
      </tbody>
    </table>`;
}

function SagaNumber({ found }) {
  if (!found) return html`<span class="soft">0</span>`;
  const number = count(found.number, found.atLeast);
  return html`<a href="#/sagas?status=${found.status}&name=${found.name}" aria-label=${`${number} ${found.name} ${found.status}`}>${number}</a>`;
}

// ---- the last hour

const CHARTS = [
  { name: "Orders created", unit: "a minute", value: (minute) => minute.ordersCreated },
  { name: "Orders completed", unit: "a minute", value: (minute) => minute.ordersCompleted },
  { name: "Sagas ended", unit: "a minute", value: (minute) => minute.sagasEnded },
  { name: "Step latency", unit: "ms, half of the steps", value: (minute) => minute.stepP50Ms, line: (minute) => minute.stepP99Ms, lineName: "ms, 99 of 100 steps" },
  { name: "Outbox age", unit: "s", value: (minute) => minute.outboxAgeSeconds },
  { name: "Dead letters", unit: "waiting", value: (minute) => minute.deadLetters },
];

function Hour({ minutes }) {
  if (minutes.length === 0) return html`<${Empty}>No minute has been sampled yet: the first is there within two minutes.<//>`;
  const until = new Date(minutes.at(-1).at);
  return html`<div class="charts">${CHARTS.map((chart) => html`<${Chart} key=${chart.name} chart=${chart} minutes=${minutes} until=${until} />`)}</div>`;
}

function Chart({ chart, minutes, until }) {
  const values = minutes.map((minute) => ({ at: minute.at, value: chart.value(minute), line: chart.line?.(minute) ?? undefined }));
  const newest = values.at(-1);
  const most = Math.max(0, ...values.map((each) => each.value ?? 0));
  const shown = (value) => (value === null || value === undefined ? "–" : value.toLocaleString(undefined, { maximumFractionDigits: 1 }));
  const words = `${chart.name}, the last hour: ${shown(newest.value)} ${chart.unit} in the newest minute, at most ${shown(most)}`;
  return html`
    <div class="card chart" role="group" aria-label=${chart.name}>
      <h3>${chart.name}</h3>
      <p><span class="big">${shown(newest.value)}</span> <span class="small">${chart.unit}</span></p>
      <${Columns} values=${values} until=${until} label=${words} />
      <p class="small">${chart.line ? `${shown(newest.line)} ${chart.lineName}` : `peak ${shown(most)} in the hour`}</p>
    </div>`;
}
