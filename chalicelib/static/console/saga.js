// One saga: its definition's diagram with this run's path on it, what it waits for, and what an operator may do about it.

import { html } from "./preact-htm.js";
import { ActionButton, allowedBy, sagaAction } from "./actions.js";
import { LetterList } from "./letters.js";
import { SagaDiagram } from "./pictures.js";
import { Empty, Facts, Freshness, Heading, Id, Json, Loaded, Said, State, Time, kindOf, useLive } from "./ui.js";

const LOOK_MS = 2000;

export function SagaPage({ id }) {
  const live = useLive(`api/sagas/${encodeURIComponent(id)}/explanation`, LOOK_MS);
  const name = live.body?.saga.name;
  return html`
    <${Heading} title=${`Saga ${id}`} aside=${html`<${Freshness} live=${live} />`}>Saga ${name ?? ""} <code class="id">${id}</code><//>
    <${Loaded} live=${live}>${(explained) => html`<${Found} explained=${explained} again=${live.again} />`}<//>`;
}

function Found({ explained, again }) {
  const { saga, path, waitsFor } = explained;
  return html`
    <p class="sentence ${kindOf(saga.status)}"><${State} of=${saga.status} /><${Said} text=${explained.sentence} /></p>
    <div class="sides">
      <section class="card" aria-labelledby="diagram">
        <h2 id="diagram">Where it stands</h2>
        <${SagaDiagram} saga=${saga} path=${path} waitsFor=${waitsFor} />
      </section>
      <div>
        <section class="card" aria-labelledby="facts">
          <h2 id="facts">What it is</h2>
          <${Facts} rows=${[
            ["Order", html`<${Id} id=${explained.orderId} to="#/orders/${explained.orderId}" />`],
            ["Definition", `${saga.name}, version ${saga.definitionVersion}`],
            ["Began", html`<${Time} at=${saga.startedAt} />`],
            ["Ended", html`<${Time} at=${saga.endedAt} none="not yet" />`],
            ["Error", saga.error && `${saga.error.code}: ${saga.error.detail}`],
          ]} />
          <div class="actions" role="group" aria-label="What you may do">
            ${explained.actions.map((action) => html`
              <${ActionButton} key=${action.name} action=${sagaAction(action.name, saga.sagaId)} ...${allowedBy(action)} done=${again} />`)}
          </div>
        </section>
        <section class="card" aria-labelledby="waits">
          <h2 id="waits">What it waits for</h2>
          ${waitsFor ? html`<${Awaited} waitsFor=${waitsFor} />` : html`<${Empty}>It waits for no reply.<//>`}
        </section>
      </div>
    </div>
    <section class="card" aria-labelledby="exchanges">
      <h2 id="exchanges">Commands and replies</h2>
      <${Exchanges} path=${path} />
    </section>
    ${explained.deadLetters.length > 0 && html`
      <section class="card" aria-labelledby="letters"><h2 id="letters">Dead letters</h2><${LetterList} letters=${explained.deadLetters} /></section>`}`;
}

const Awaited = ({ waitsFor }) => html`
  <${Facts} rows=${[
    ["Step", `${waitsFor.undo ? "undo of " : ""}${waitsFor.step}`],
    ["Asked", `${waitsFor.partner}, by ${waitsFor.command} on ${waitsFor.topic}`],
    ["Reply", waitsFor.replies.join(" or ")],
    ["Attempt", `${waitsFor.attempt} of ${waitsFor.attempts}`],
    ["First sent", html`<${Time} at=${waitsFor.firstSentAt} />`],
    ["Last sent", html`<${Time} at=${waitsFor.lastSentAt} />${waitsFor.lastSentEstimated ? " (estimated)" : ""}`],
    ["Until", html`<${Time} at=${waitsFor.dueAt} none="no time is set" />`],
    ["Then", NEXT[waitsFor.next]],
    ...(waitsFor.unpublishedSince ? [["Unpublished since", html`<${Time} at=${waitsFor.unpublishedSince} />`]] : []),
    ["Command id", html`<code class="id">${waitsFor.commandId}</code>`],
  ]} />
  <h3>The command as it is sent</h3>
  <${Json} value=${waitsFor.value} label="The command's value" />
  <details><summary>Headers</summary>
    <dl class="pairs">${waitsFor.headers.map(([name, value]) => html`<div key=${name}><dt><code>${name}</code></dt><dd><code class="id">${value}</code></dd></div>`)}</dl>
  </details>`;

const NEXT = {
  resend: "the same command goes out again",
  compensate: "the saga is compensated",
  suspend: "the saga is suspended",
  "try-again": "the step is tried anew",
  none: "nothing happens by itself",
};

function Exchanges({ path }) {
  const rows = path.flatMap((step) => [...triesOf(step, step.action, false), ...triesOf(step, step.compensation, true)]);
  if (rows.length === 0) return html`<${Empty}>No command has been sent.<//>`;
  return html`
    <table class="stacked">
      <caption class="unseen">Each command that was sent, and its reply</caption>
      <thead><tr><th scope="col">Step</th><th scope="col">Command</th><th scope="col">Sent</th><th scope="col">Reply</th><th scope="col">Came</th></tr></thead>
      <tbody>
        ${rows.map(({ step, undo, exchange, attempt }) => html`
          <tr key=${attempt.commandId}>
            <td data-label="Step">${undo ? "undo of " : ""}${step.step}</td>
            <td data-label="Command"><${Message} type=${exchange.command} data=${attempt.data} note=${attempt.rebuilt ? "rebuilt from the saga's data" : "as it was sent"} /></td>
            <td data-label="Sent"><span><${Time} at=${attempt.sentAt} none="not known" />${attempt.copies > 1 ? `, ${attempt.copies} copies` : ""}</span></td>
            <td data-label="Reply">${attempt.reply ? html`<${Message} type=${attempt.reply.type} data=${attempt.reply.data} />` : "none yet"}</td>
            <td data-label="Came"><${Time} at=${attempt.reply?.at} /></td>
          </tr>`)}
      </tbody>
    </table>`;
}

const triesOf = (step, exchange, undo) => (exchange?.tries ?? []).map((attempt) => ({ step, undo, exchange, attempt }));

/** A message's type, which opens to its data where that is known. */
const Message = ({ type, data, note }) =>
  data
    ? html`<details><summary><code>${type}</code></summary>${note && html`<p class="small">${note}</p>`}<${Json} value=${data} label=${`Data of ${type}`} /></details>`
    : html`<code>${type}</code>`;
