// What all pages draw with: states, times, problems, lists of facts.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./preact-htm.js";
import { watch } from "./api.js";

/** What is seen at a path, looked at every so many milliseconds: a number, or a function of what was seen; no path is null. `again()` looks at once. */
export function useLive(path, every) {
  const [seen, setSeen] = useState({ path: null });
  const watched = useRef(null);
  useEffect(() => {
    if (!path) return undefined;
    const pace = typeof every === "function" ? every : () => every;
    watched.current = watch(path, pace, (latest) => setSeen({ ...latest, path }));
    return () => watched.current.stop();
  }, [path, every]);
  const current = seen.path === path ? seen : { body: null, problem: null, lost: null, at: null };
  return { ...current, again: () => watched.current?.again() };
}

/** The time by this machine's clock, anew every so often, for countdowns. */
export function useNow(every = 1000) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

// ---- states: by shape and word, the colour only repeats them

const KINDS = {
  going: ["RUNNING", "CREATED", "PENDING_PAYMENT", "PAYMENT_AUTHORIZED", "READY_FOR_PICKUP", "ACCEPTED", "COLLECTED", "ON_THE_WAY", "DELIVERED"],
  done: ["DONE", "COMPLETED", "CAPTURED", "AUTHORIZED", "redriven"],
  undoing: ["COMPENSATING"],
  undone: ["COMPENSATED", "RELEASED", "REFUNDED"],
  failed: ["FAILED", "waiting"],
  ended: ["CANCELLED", "TIMED_OUT", "dismissed"],
  idle: ["PENDING", "SKIPPED"],
};
const KIND_OF = Object.fromEntries(Object.entries(KINDS).flatMap(([kind, states]) => states.map((state) => [state, kind])));
const SHAPES = {
  going: html`<circle cx="8" cy="8" r="5.5" fill="none" stroke-width="2" /><circle cx="8" cy="8" r="2.2" class="solid" />`,
  done: html`<circle cx="8" cy="8" r="6.5" class="solid" /><path d="M5 8.2l2.1 2.1L11 6" class="cut" />`,
  undoing: html`<path d="M13 8a5 5 0 1 1-2-4" fill="none" stroke-width="2" /><path d="M11.5 0.8v3.9H7.6" fill="none" stroke-width="2" />`,
  undone: html`<path d="M6 3L2 7l4 4M2.5 7H10a3.5 3.5 0 0 1 0 7H7" fill="none" stroke-width="2" />`,
  failed: html`<path d="M8 1l7 13H1z" class="solid" /><path d="M8 5.5v4.2M8 11.2v1.2" class="cut" />`,
  ended: html`<rect x="2" y="2" width="12" height="12" rx="2" class="solid" /><path d="M5.3 5.3l5.4 5.4M10.7 5.3l-5.4 5.4" class="cut" />`,
  idle: html`<circle cx="8" cy="8" r="5.5" fill="none" stroke-width="2" stroke-dasharray="2.6 2.2" />`,
};

/** Which of the kinds of state a status is: one shape and colour each. */
export const kindOf = (status) => KIND_OF[status] ?? "idle";

/** The shape of a kind, inside of an SVG or as one. */
export const Shape = ({ kind, ...rest }) =>
  html`<svg class="shape ${kind}" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" ...${rest}>${SHAPES[kind]}</svg>`;

/** A status as shape and word. */
export const State = ({ of }) => html`<span class="state ${kindOf(of)}"><${Shape} kind=${kindOf(of)} />${of}</span>`;

// ---- times, money, ids

const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

/** The time of day in the reader's zone, with the day before it where that is not today. */
export function clock(time) {
  const date = new Date(time);
  const today = date.toDateString() === new Date().toDateString();
  return (today ? "" : `${DAY.format(date)} `) + CLOCK.format(date);
}

/** The moment in UTC, to the millisecond: what stands behind a time on hover. */
export const inUtc = (time) => `${new Date(time).toISOString()} (UTC)`;

/** A moment in the reader's zone; in UTC and to the millisecond on hover. */
export const Time = ({ at, none = "–" }) =>
  at ? html`<time datetime=${at} title=${inUtc(at)}>${clock(at)}</time>` : html`<span>${none}</span>`;

/** A sentence of the API's, whose moments are shown as all others are. What a partner wrote stands in it, too, so not all that looks like one is. */
export const Said = ({ text }) => html`
  <span>${text.split(/(\d{4}-\d\d-\d\dT[\d:.]+Z)/).map((part, index) => (index % 2 && !Number.isNaN(Date.parse(part)) ? html`<${Time} at=${part} />` : part))}</span>`;

/** A stretch of time in one or two units. */
export function duration(ms) {
  const seconds = Math.abs(ms) / 1000;
  if (seconds < 1) return `${Math.round(Math.abs(ms))} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

export const money = (amount, currency) => `${currency} ${amount}`;

/** A number that may be a lower bound. */
export const count = (number, atLeast) => (atLeast ? `${number.toLocaleString()}+` : number.toLocaleString());

/** An id that is long, as a link to its page where it has one. */
export const Id = ({ id, to }) => (to ? html`<a class="id" href=${to}>${id}</a>` : html`<code class="id">${id}</code>`);

/** A value as indented JSON. */
export const Json = ({ value, label }) =>
  html`<pre class="json" tabindex="0" role="region" aria-label=${label}>${typeof value === "string" ? value : JSON.stringify(value, null, 2)}</pre>`;

// ---- pieces of pages

const LONG = 48;

/** A page's heading: the focus comes here when an address is followed, and the window's title follows it. */
export function Heading({ children, title, aside }) {
  const heading = useRef(null);
  useLayoutEffect(() => {
    document.title = `${title} · CampusG console`;
    heading.current.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [title]);
  return html`<div class="heading"><h1 tabindex="-1" ref=${heading}>${children ?? title}</h1>${aside}</div>`;
}

/** Names and values beneath each other; a long text has a line of its own. */
export const Facts = ({ rows }) => html`
  <dl class="facts">
    ${rows.map(([name, value]) => html`<div key=${name} class=${value?.length > LONG ? "long" : null}><dt>${name}</dt><dd>${value ?? "–"}</dd></div>`)}
  </dl>`;

/** What was refused or went wrong, with the id that leads to it in the logs. */
export const Problem = ({ of, live = true }) => html`
  <div class="notice failed" role=${live ? "alert" : null}>
    <${Shape} kind="failed" />
    <div>
      <strong>${of.title}</strong>
      <p>${of.detail}</p>
      ${of.errors?.length > 0 && html`<ul>${of.errors.map((each) => html`<li><code>${each.pointer}</code> ${each.detail}</li>`)}</ul>`}
      <p class="small">correlation id <code class="id">${of.correlationId}</code></p>
    </div>
  </div>`;

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

/** A page's part that what was asked for is drawn in: while nothing has come, when it was refused, and when it is there. */
export function Loaded({ live, children }) {
  if (live.problem) return html`<${Problem} of=${live.problem} />`;
  if (live.body) return children(live.body);
  if (live.lost) return html`<${Problem} of=${live.lost} live=${false} />`;
  return html`<p key="loading" class="loading" role="status">Loading …</p>`;
}

/** Whether what the page shows is current, in a line of a fixed height. */
export function Freshness({ live }) {
  const at = live.at ? `last answer ${CLOCK.format(live.at)}` : "no answer yet";
  if (live.lost)
    return html`<p class="freshness lost" role="status"><${Shape} kind="failed" />Connection lost; ${at}, trying again</p>`;
  return html`<p class="freshness"><${Shape} kind=${live.at ? "going" : "idle"} />${live.at ? "Live" : "Connecting"}; ${at}</p>`;
}
