// What needs an operator: suspended sagas and dead letters, grouped by what went wrong.

import { html, useState } from "./preact-htm.js";
import { get } from "./api.js";
import { ActionButton, Bulk, letterAction, sagaAction } from "./actions.js";
import { Empty, Facts, Freshness, Heading, Id, Json, Loaded, Problem, Shape, State, Time, useLive } from "./ui.js";

const LOOK_MS = 4000;
const MOST = 100;

const classOf = (letter) => letter.error.split(": ")[0];

function grouped(items, nameOf) {
  const groups = new Map();
  for (const item of items) groups.set(nameOf(item), [...(groups.get(nameOf(item)) ?? []), item]);
  return [...groups].sort(([, one], [, other]) => other.length - one.length);
}

const More = ({ page }) => page.nextCursor && html`<p class="small">These are the newest ${page.items.length}; there are more behind them.</p>`;

// ---- suspended sagas

export function SuspendedPage() {
  const live = useLive(`api/sagas?status=FAILED&limit=${MOST}`, LOOK_MS);
  return html`
    <${Heading} title="Suspended sagas" aside=${html`<${Freshness} live=${live} />`} />
    <${Loaded} live=${live}>${(page) => html`
      ${page.items.length === 0 && html`<${Empty}>No saga is suspended: each goes on by itself.<//>`}
      ${grouped(page.items, (saga) => `${saga.name}, ${saga.error?.code ?? "no error"} at ${saga.currentStep}`).map(([name, sagas]) => html`
        <section class="card" key=${name} aria-label=${name}>
          <${GroupHead} name=${name} number=${sagas.length}>
            ${sagas.length > 1 && ["retry", "compensate"].map((verb) => html`
              <${Bulk} key=${verb} verb=${verb} items=${sagas} idOf=${(saga) => saga.sagaId} actionOf=${(saga) => sagaAction(verb, saga.sagaId)} done=${live.again} />`)}
          <//>
          <ul class="rows">
            ${sagas.map((saga) => html`
              <li key=${saga.sagaId}>
                <${State} of=${saga.status} />
                <div>
                  <p><a class="id" href="#/sagas/${saga.sagaId}">${saga.sagaId}</a> of order <a class="id" href="#/orders/${saga.orderId}">${saga.orderId}</a></p>
                  <p class="small">${saga.error && `${saga.error.detail}; `}began <${Time} at=${saga.startedAt} /></p>
                </div>
                <div class="actions">
                  <${ActionButton} action=${sagaAction("retry", saga.sagaId)} done=${live.again} />
                  <${ActionButton} action=${sagaAction("compensate", saga.sagaId)} done=${live.again} />
                </div>
              </li>`)}
          </ul>
        </section>`)}
      <${More} page=${page} />`}<//>`;
}

const GroupHead = ({ name, number, children }) => html`
  <div class="group-head"><h2>${name} <span class="count">${number}</span></h2><div class="actions">${children}</div></div>`;

// ---- dead letters

export function LettersPage() {
  const live = useLive(`api/dead-letters?redriven=false&dismissed=false&limit=${MOST}`, LOOK_MS);
  return html`
    <${Heading} title="Dead letters" aside=${html`<${Freshness} live=${live} />`} />
    <${Loaded} live=${live}>${(page) => html`
      ${page.items.length === 0 && html`<${Empty}>No dead letter waits: every record that came was taken.<//>`}
      ${grouped(page.items, classOf).map(([name, letters]) => html`
        <section class="card" key=${name} aria-label=${name}>
          <${GroupHead} name=${name} number=${letters.length}>
            ${letters.length > 1 && ["redrive", "dismiss"].map((verb) => html`
              <${Bulk} key=${verb} verb=${verb} items=${letters} idOf=${(letter) => letter.deadLetterId} actionOf=${(letter) => letterAction(verb, letter.deadLetterId)} done=${live.again} />`)}
          <//>
          <${LetterList} letters=${letters} done=${live.again} />
        </section>`)}
      <${More} page=${page} />`}<//>`;
}

export function LetterPage({ id }) {
  const live = useLive(`api/dead-letters/${encodeURIComponent(id)}`, LOOK_MS);
  return html`
    <${Heading} title=${`Dead letter ${id}`} aside=${html`<${Freshness} live=${live} />`}>Dead letter <code class="id">${id}</code><//>
    <${Loaded} live=${live}>${(letter) => html`
      <section class="card" aria-label="The dead letter">
        <${LetterFacts} letter=${letter} />
        <${LetterActions} letter=${letter} done=${live.again} />
        <h2>The record</h2>
        <${Record} letter=${letter} />
      </section>`}<//>`;
}

/** Dead letters one beneath the other; the record of one is loaded when it is opened. */
export const LetterList = ({ letters, done }) => html`
  <ul class="rows">
    ${letters.map((letter) => html`
      <li key=${letter.deadLetterId}>
        <${Shape} kind=${letter.redrivenAt ? "done" : letter.dismissedAt ? "ended" : "failed"} />
        <div>
          <p><a class="id" href="#/dead-letters/${letter.deadLetterId}">${letter.type ?? "no type"}</a> at ${letter.topic}/${letter.partition}/${letter.offset}, <${Time} at=${letter.at} /></p>
          <p class="small">${letter.error}</p>
          ${letter.orderId && html`<p class="small">order <a class="id" href="#/orders/${letter.orderId}">${letter.orderId}</a></p>`}
          <${Opened} id=${letter.deadLetterId} />
        </div>
        ${done && html`<${LetterActions} letter=${letter} done=${done} />`}
      </li>`)}
  </ul>`;

const LetterActions = ({ letter, done }) => {
  const settled = letter.redrivenAt ? "it was redriven" : letter.dismissedAt ? "it was dismissed" : null;
  return html`
    <div class="actions">
      <${ActionButton} action=${letterAction("redrive", letter.deadLetterId)} allowed=${!settled} reason=${settled} done=${done} />
      <${ActionButton} action=${letterAction("dismiss", letter.deadLetterId)} allowed=${!settled} done=${done} />
    </div>`;
};

function Opened({ id }) {
  const [answer, setAnswer] = useState(null);
  const open = async (event) => event.target.open && !answer?.ok && setAnswer(await get(`api/dead-letters/${encodeURIComponent(id)}`));
  return html`
    <details onToggle=${open}>
      <summary>Record</summary>
      ${answer === null ? html`<p class="loading" role="status">Loading …</p>` : answer.ok ? html`<${Record} letter=${answer.body} />` : html`<${Problem} of=${answer.problem} />`}
    </details>`;
}

const LetterFacts = ({ letter }) => html`
  <${Facts} rows=${[
    ["Error", letter.error],
    ["Type", letter.type],
    ["Came by", `${letter.topic}, partition ${letter.partition}, offset ${letter.offset}`],
    ["Tries", letter.deliveryCount],
    ["Kept", html`<${Time} at=${letter.at} />`],
    ["Order", letter.orderId && html`<${Id} id=${letter.orderId} to="#/orders/${letter.orderId}" />`],
    ["Saga", letter.sagaId && html`<${Id} id=${letter.sagaId} to="#/sagas/${letter.sagaId}" />`],
    ["Redriven", html`<${Time} at=${letter.redrivenAt} none="no" />`],
    ["Dismissed", letter.dismissedAt ? html`<${Time} at=${letter.dismissedAt} /> by ${letter.dismissedBy}: ${letter.dismissReason}` : "no"],
  ]} />`;

/** The record as it came: text where it is text, else its base64. */
const Record = ({ letter }) => html`
  <h3>Key</h3>
  <${Json} value=${letter.key === null ? "none" : textOf(letter.key)} label="The record's key" />
  <h3>Headers</h3>
  ${letter.headers === null ? html`<p class="small">${letter.headersOmitted} bytes, too large to be shown</p>` : letter.headers.length === 0 ? html`<p class="small">none</p>` : html`
    <dl class="pairs">${letter.headers.map(([name, value], index) => html`<div key=${index}><dt><code>${name}</code></dt><dd><code class="id">${value === null ? "none" : textOf(value)}</code></dd></div>`)}</dl>`}
  <h3>Value</h3>
  <${Json} value=${valueOf(letter)} label="The record's value" />
  ${letter.valueTextTruncated && html`<p class="small">The value goes on behind this.</p>`}`;

function valueOf(letter) {
  if (letter.valueText === undefined) return letter.value ?? (letter.valueOmitted ? `${letter.valueOmitted} bytes, too large to be shown` : "none");
  try {
    return JSON.stringify(JSON.parse(letter.valueText), null, 2);
  } catch {
    return letter.valueText;
  }
}

function textOf(base64) {
  try {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return `${base64} (base64)`;
  }
}
