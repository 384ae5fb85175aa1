// Asking before something is changed: what a button would do, its dry run, a reason, and what became of it.

import { html, useEffect, useRef, useState } from "./preact-htm.js";
import { ask, newId } from "./api.js";
import { Problem, Shape } from "./ui.js";

const REASON = { name: "reason", label: "Reason, kept in the order's history", required: true };

/** What `retry` and `compensate` are, as actions on a saga. */
export const sagaAction = (name, sagaId) => ({
  title: name === "retry" ? "Retry" : "Compensate",
  says:
    name === "retry"
      ? "The saga goes on where it was suspended: the command that was not answered goes out again, or the step that was refused is tried anew."
      : "What the saga has done so far is undone, last step first.",
  method: "POST",
  path: `api/sagas/${encodeURIComponent(sagaId)}/${name}`,
  asks: [REASON],
  dryRun: true,
});

/** What may be done with a dead letter, as actions. */
export const letterAction = (name, letterId) => ({
  title: name === "redrive" ? "Redrive" : "Dismiss",
  says: name === "redrive" ? "The record is taken as if it had come just now." : "The record will never be taken, and nobody need look at it again.",
  method: "POST",
  path: `api/dead-letters/${encodeURIComponent(letterId)}/${name}`,
  asks: [REASON],
  dryRun: true,
  // A dismissal without a reason is refused, also when it is only rehearsed.
  rehearsal: name === "dismiss" ? { reason: "preview" } : {},
});

/** Whether the API would take an action that it names, and change something by it, and why not. */
export const allowedBy = (action) => ({
  allowed: action.allowed && !action.needless,
  reason: action.needless ? "done already, or under way" : action.reason,
});

// ---- where dialogs are shown

let show = () => {};

/** The place of the one dialog that is open: outside of what it is about, which may be gone from the page before its outcome is read. */
export function Dialogs() {
  const [draw, setDraw] = useState(null);
  show = (drawing) => setDraw(() => drawing);
  function close() {
    setDraw(null);
    // The browser gives the focus back to the button, unless that is gone.
    if (document.activeElement === document.body) document.querySelector("h1")?.focus();
  }
  return draw && draw(close);
}

/** Where what had the focus is gone from an open dialog, as a field or button that is needed no more, its button to leave has it. */
function useKeptFocus(dialog, leave, changes) {
  useEffect(() => {
    if (!dialog.current.contains(document.activeElement)) leave.current.focus();
  }, changes);
}

// ---- one thing

/** What a dry run has found, one line a place. */
function Changes({ of }) {
  if (of.length === 0) return html`<p>No order, saga or message changes by it.</p>`;
  return html`
    <div class="bounded" tabindex="0" role="region" aria-label="What will change">
      <table class="changes stacked">
        <caption>What will change</caption>
        <thead><tr><th scope="col">What</th><th scope="col">Where</th><th scope="col">From</th><th scope="col">To</th></tr></thead>
        <tbody>
          ${of.map((each) => html`
            <tr key=${each.what + each.id + each.pointer}>
              <td data-label="What">${each.what}</td>
              <td data-label="Where"><code>${each.pointer || "all of it"}</code></td>
              <td data-label="From" class="from"><code>${shown(each.from)}</code></td>
              <td data-label="To" class="to"><code>${shown(each.to)}</code></td>
            </tr>`)}
        </tbody>
      </table>
    </div>`;
}

const shown = (value) => (value === null ? "nothing" : typeof value === "string" ? value : JSON.stringify(value, null, 1));

/**
 * A dialog that says what a button does, asks for what is needed, shows the dry run where there is one, and sends the request when it
 * is confirmed. `action`: {title, says, method, path, body, asks: [{name, label, required}], dryRun, rehearsal}: `rehearsal` is what only the
 * dry run is sent besides.
 */
export function Ask({ action, close, done }) {
  const dialog = useRef(null), leave = useRef(null);
  const [given, setGiven] = useState({ ...action.body });
  const [preview, setPreview] = useState(null);
  const [busy, setBusy] = useState(false);
  const [answer, setAnswer] = useState(null);
  const keys = useRef({});
  useEffect(() => dialog.current.showModal(), []);
  useEffect(() => {
    if (action.dryRun) ask(action.method, action.path, { body: { ...action.body, ...action.rehearsal, dryRun: true } }).then(setPreview);
  }, []);
  useKeptFocus(dialog, leave, [preview, answer]);
  const asks = action.asks ?? [];
  const lacking = asks.some((each) => each.required && !given[each.name]?.trim());
  const refused = preview && !preview.ok;
  async function confirm(event) {
    event.preventDefault();
    const said = asks.filter(({ name }) => given[name]?.trim()).map(({ name }) => [name, given[name].trim()]);
    const body = action.body || asks.length ? { ...action.body, ...Object.fromEntries(said) } : undefined;
    // The same request again, after a lost connection, must not act twice.
    const sent = JSON.stringify(body ?? null);
    keys.current[sent] ??= newId();
    setBusy(true);
    const result = await ask(action.method, action.path, { body, key: action.method === "POST" ? keys.current[sent] : undefined });
    setBusy(false);
    setAnswer(result);
    if (result.ok) done?.(result.body);
  }
  return html`
    <dialog ref=${dialog} class="ask" aria-labelledby="ask-title" onClose=${close}>
      <form onSubmit=${confirm}>
        <h2 id="ask-title">${action.title}</h2>
        <p>${action.says}</p>
        ${action.dryRun && !answer?.ok && (preview === null
          ? html`<p class="loading" role="status">Trying it without doing it …</p>`
          : preview.ok && html`<${Changes} of=${preview.body.changes} />`)}
        ${refused && html`<${Problem} of=${preview.problem} />`}
        ${!refused && !answer?.ok && asks.map((each) => html`
          <label key=${each.name}>${each.label}
            <input type="text" maxlength="255" required=${each.required} value=${given[each.name] ?? ""}
              onInput=${(event) => setGiven({ ...given, [each.name]: event.target.value })} />
          </label>`)}
        <div aria-live="polite">
          ${answer?.ok && html`<p class="notice done"><${Shape} kind="done" /><span>Done: ${action.title}. <span class="small">correlation id <code class="id">${answer.correlationId}</code></span></span></p>`}
        </div>
        ${answer?.problem && html`<${Problem} of=${answer.problem} />`}
        <div class="buttons">
          <button ref=${leave} type="button" onClick=${() => dialog.current.close()}>${answer?.ok || refused ? "Close" : "Leave it"}</button>
          ${!answer?.ok && !refused && html`
            <button class="primary" disabled=${busy || lacking || (action.dryRun && !preview)}>${busy ? "Sending …" : action.title}</button>`}
        </div>
      </form>
    </dialog>`;
}

/** A button, greyed with its reason where the API would refuse, that opens the action's dialog. */
export function ActionButton({ action, allowed = true, reason, done, children }) {
  const open = () => show((close) => html`<${Ask} action=${action} done=${done} close=${close} />`);
  return html`
    <span class="action">
      <button type="button" disabled=${!allowed} title=${reason ?? null} onClick=${open}>${children ?? action.title} …</button>
      ${!allowed && reason && html`<span class="small">${reason}</span>`}
    </span>`;
}

// ---- a whole group, one after the other

/** A button that opens a dialog in which the group is first rehearsed, then done, item by item. */
export function Bulk({ verb, items, idOf, actionOf, done }) {
  const title = `${verb[0].toUpperCase()}${verb.slice(1)} all ${items.length}`;
  const open = () => show((close) => html`<${BulkDialog} title=${title} items=${items} idOf=${idOf} actionOf=${actionOf} done=${done} close=${close} />`);
  return html`<button type="button" onClick=${open}>${title} …</button>`;
}

function BulkDialog({ title, items, idOf, actionOf, done, close }) {
  const dialog = useRef(null), leave = useRef(null);
  const stopped = useRef(false);
  const [reason, setReason] = useState("");
  const [trials, setTrials] = useState([]);
  const [results, setResults] = useState(null);
  const keys = useRef(items.map(newId)).current;
  const willing = items.filter((_, index) => trials[index]?.ok);
  const isTried = trials.length === items.length;
  const isDone = results?.length === willing.length;
  useEffect(() => {
    dialog.current.showModal();
    inTurn(items, (item) => send(item, { dryRun: true, ...actionOf(item).rehearsal }), setTrials);
    return () => { stopped.current = true; };
  }, []);
  useKeptFocus(dialog, leave, [results]);

  const send = (item, body, key) => ask("POST", actionOf(item).path, { body, key });

  async function inTurn(each, act, tell) {
    const answers = [];
    tell([]);
    for (const item of each) {
      if (stopped.current) return;
      answers.push(await act(item));
      tell([...answers]);
    }
  }

  async function confirm(event) {
    event.preventDefault();
    await inTurn(willing, (item) => send(item, { reason: reason.trim() }, keys[items.indexOf(item)]), setResults);
    done();
  }

  return html`
    <dialog ref=${dialog} class="ask" aria-labelledby="bulk-title" onClose=${close}>
      <form onSubmit=${confirm}>
        <h2 id="bulk-title">${title}</h2>
        <div aria-live="polite">
          ${!isTried && html`<p>Trying it without doing it: ${trials.length} of ${items.length}</p>`}
          ${isTried && !results && html`<p>${willing.length} of ${items.length} would go through${willing.length < items.length ? "; the others are left alone" : ""}.</p>`}
          ${results && html`<p>${isDone ? "Done" : "Doing it"}: ${results.length} of ${willing.length}, ${results.filter((each) => !each.ok).length} refused</p>`}
        </div>
        <progress max=${results ? willing.length : items.length} value=${results ? results.length : trials.length} aria-label="Progress"></progress>
        <ul class="rows bounded" tabindex="0" aria-label="Each of them">
          ${items.map((item, index) => html`<${BulkItem} key=${idOf(item)} id=${idOf(item)} trial=${trials[index]} result=${results?.[willing.indexOf(item)]} />`)}
        </ul>
        ${isTried && !results && willing.length > 0 && html`
          <label>${REASON.label}<input type="text" required maxlength="255" value=${reason} onInput=${(event) => setReason(event.target.value)} /></label>`}
        <div class="buttons">
          <button ref=${leave} type="button" onClick=${() => dialog.current.close()}>${isDone ? "Close" : "Leave it"}</button>
          ${!results && html`<button class="primary" disabled=${!isTried || willing.length === 0 || !reason.trim()}>${title.replace(/\d+$/, isTried ? willing.length : items.length)}</button>`}
        </div>
      </form>
    </dialog>`;
}

function BulkItem({ id, trial, result }) {
  const latest = result ?? trial;
  const kind = !latest ? "idle" : !latest.ok ? "failed" : result ? "done" : "going";
  const says = !latest ? "not tried yet" : latest.problem ? `${latest.problem.detail} (correlation id ${latest.problem.correlationId})` : result ? "done" : `would change ${trial.body.changes.length} places`;
  return html`
    <li><${Shape} kind=${kind} /><div><p><code class="id">${id}</code></p><p class="small">${says}</p>
      ${trial?.ok && !result && html`<details><summary>Changes</summary><${Changes} of=${trial.body.changes} /></details>`}</div></li>`;
}
