// The pictures: a minute-by-minute column chart, a saga's path through its definition, and an order's life. Each says in words what it shows.

import { html, useLayoutEffect, useRef, useState } from "./preact-htm.js";
import { Shape, clock, duration, inUtc, kindOf, useNow } from "./ui.js";

/** The width that an element has, as it is laid out and whenever that changes. */
function useWidth(first) {
  const element = useRef(null);
  const [width, setWidth] = useState(first);
  useLayoutEffect(() => {
    const measure = () => setWidth(Math.floor(element.current.clientWidth) || first);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return [element, width];
}

/** How many letters of a text there is room for, by the width of a middling one; capitals are wider. */
const lettersIn = (width, text, perLetter) => Math.max(4, Math.floor(width / (/[A-Z]{3}/.test(text) ? perLetter * 1.15 : perLetter)));

/** As much of a text as there is room for. */
const cut = (text, width, perLetter) => {
  const most = lettersIn(width, text, perLetter);
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
};

/** A text in as many lines as it needs, broken behind a dot, an underscore or a space where there is one. */
function wrapped(text, width, perLetter) {
  const most = lettersIn(width, text, perLetter);
  const lines = [];
  for (const part of text.match(new RegExp(`[^._ ]{1,${most}}[._ ]*`, "gu")) ?? []) {
    if (lines.length && (lines.at(-1) + part).trimEnd().length <= most) lines[lines.length - 1] += part;
    else lines.push(part);
  }
  return lines;
}

/** A kind's shape within a picture, its middle at x, y. */
const Mark = ({ kind, x, y, size = 16 }) => html`<${Shape} kind=${kind} x=${x - size / 2} y=${y - size / 2} width=${size} height=${size} />`;

// ---- minutes

const MINUTE_MS = 60000;
const CHART = { width: 240, height: 44, minutes: 60 };

/** One column a minute of the last hour up to `until`; a minute without a value has none. A second value is drawn as a line across it. */
export function Columns({ values, until, label }) {
  const most = Math.max(1, ...values.map((each) => Math.max(each.value ?? 0, each.line ?? 0)));
  const step = CHART.width / CHART.minutes;
  const height = (value) => Math.max(value > 0 ? 1.5 : 0, (value / most) * (CHART.height - 4));
  const place = (at) => CHART.width - ((until - new Date(at)) / MINUTE_MS + 1) * step;
  return html`
    <svg class="columns" viewBox="0 0 ${CHART.width} ${CHART.height}" preserveAspectRatio="none" role="img" aria-label=${label}>
      <line x1="0" x2=${CHART.width} y1=${CHART.height - 0.5} y2=${CHART.height - 0.5} class="ground" />
      ${values.filter((each) => each.value !== null).map((each) => html`
        <rect key=${each.at} x=${place(each.at)} width=${step * 0.8} y=${CHART.height - 1 - height(each.value)} height=${height(each.value)} />
        ${each.line !== undefined && html`
          <line class="upper" x1=${place(each.at)} x2=${place(each.at) + step * 0.8}
            y1=${CHART.height - 1 - height(each.line)} y2=${CHART.height - 1 - height(each.line)} />`}`)}
    </svg>`;
}

// ---- a saga's path

const NODE = { height: 84, gap: 26, top: 32, narrow: 440 };
// By what a line in a box says: the room that a letter takes, how far its baseline is below the line before, or below one of its own.
const LINES = {
  name: { letter: 7.9, below: 20, again: 16 },
  word: { letter: 6.6, below: 19, again: 15, indent: 19 },
  mono: { letter: 6.7, below: 18, again: 14 },
  soft: { letter: 6.2, below: 17, again: 14 },
};
const PADDING = { side: 11, bottom: 10 };

/** The definition's steps from top to bottom, with their compensations beside them, and where this saga stands among them. */
export function SagaDiagram({ saga, path, waitsFor }) {
  const [element, width] = useWidth(340);
  const now = useNow();
  const inner = Math.min(width, 640);
  const isNarrow = inner < NODE.narrow;
  const left = { x: 1, width: Math.floor(inner * (isNarrow ? 0.55 : 0.52)) };
  const right = { x: left.width + (isNarrow ? 14 : 46) };
  right.width = inner - right.x - 1;
  let below = NODE.top;
  const rows = path.map((step) => {
    const words = (waits) => waits && awaitingOf(waits, now);
    const node = nodeOf(step, words(awaited(step, waitsFor, false)));
    const undo = step.compensation && undoOf(step, saga, words(awaited(step, waitsFor, true)), isNarrow);
    const texts = [[node, left], [undo, right]].map(([box, { width: of }]) => (box ? linesOf(box, of - 2 * PADDING.side, isNarrow) : []));
    const height = Math.max(NODE.height, ...texts.map((lines) => (lines.at(-1)?.y ?? 0) + PADDING.bottom));
    const row = { step, y: below, height, bottom: below + height, node: { ...node, lines: texts[0] }, undo: undo && { ...undo, lines: texts[1] } };
    below += height + NODE.gap;
    return row;
  });
  const middle = left.x + left.width / 2, end = below + 10;
  const isUndone = ["COMPENSATING", "COMPENSATED"].includes(saga.status) || path.some((step) => isUndoing(step));
  return html`
    <div class="picture" ref=${element}>
      <svg width=${inner} height=${end + 34} viewBox="0 0 ${inner} ${end + 34}" role="img" aria-label=${inWords(saga, path, waitsFor)}>
        <defs>${["going", "undoing", "idle"].map((kind) => html`
          <marker key=${kind} id=${`tip-${kind}`} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
            <path d="M0 0.5L7.5 4L0 7.5z" class="tip ${kind}" />
          </marker>`)}</defs>
        <circle cx=${middle} cy="6" r="5" class="start" />
        ${rows.map(({ step, y, height, node, undo }, index) => html`
          <${Arrow} key=${`in-${step.step}`} from=${[middle, index ? rows[index - 1].bottom : 11]} to=${[middle, y]} kind=${isReached(step) ? "going" : "idle"} />
          ${step.pivot && html`<${Pivot} key="pivot" y=${y - NODE.gap / 2} width=${inner} />`}
          <${Box} key=${step.step} of=${node} x=${left.x + 1} y=${y} width=${left.width - 2} height=${height} />
          ${undo && html`
            <${Arrow} from=${[left.x + left.width, y + height / 2]} to=${[right.x, y + height / 2]} kind=${isUndoing(step) ? "undoing" : "idle"} />
            <${Box} of=${undo} x=${right.x} y=${y} width=${right.width} height=${height} />`}`)}
        ${isUndone && html`<${WayBack} rows=${rows} left=${left} right=${right} />`}
        <${Arrow} from=${[middle, below - NODE.gap]} to=${[middle, end]} kind=${saga.status === "COMPLETED" ? "going" : "idle"} />
        <${Terminal} saga=${saga} x=${left.x} y=${end} width=${left.width} />
      </svg>
    </div>`;
}

const isUndoing = (step) => step.status === "COMPENSATING" || step.status === "COMPENSATED" || (step.compensation?.tries.length ?? 0) > 0;
const isReached = (step) => !["PENDING", "SKIPPED"].includes(step.status);
const awaited = (step, waitsFor, undo) => (waitsFor && waitsFor.step === step.step && waitsFor.undo === undo ? waitsFor : null);

/** The picture as a sentence a step. */
function inWords(saga, path, waitsFor) {
  const steps = path.map((step) => {
    const here = waitsFor?.step === step.step ? `, waits for ${waitsFor.replies.join(" or ")}, attempt ${waitsFor.attempt} of ${waitsFor.attempts}` : "";
    return `${step.step} ${step.status}${step.pivot ? " (pivot)" : ""}${here}`;
  });
  return `Path of ${saga.name}, which is ${saga.status}: ${steps.join("; ")}.`;
}

function Arrow({ from, to, kind }) {
  return html`<path d="M${from[0]} ${from[1]}L${to[0]} ${to[1]}" class="way ${kind}" marker-end="url(#tip-${kind})" />`;
}

const Pivot = ({ y, width }) => html`
  <line x1="0" x2=${width} y1=${y} y2=${y} class="pivot" />
  <text x=${width - 2} y=${y - 4} class="tag" text-anchor="end">${width < NODE.narrow ? "pivot" : "pivot: below it only forward"}</text>`;

/** A step, as a box says it: which class it has, its name, its state, what is sent, and phrases about how that went. */
function nodeOf(step, awaiting) {
  const kind = kindOf(step.status);
  const sent = { command: step.action?.command ?? "", local: "changes the order", notice: "tells people" }[step.kind];
  return { looks: `${kind} ${awaiting ? "waits" : ""}`, kind, name: step.step, word: step.status, sent, phrases: awaiting ?? outcomeOf(step, step.action?.tries.at(-1)?.reply) };
}

/** A step's compensation likewise. */
function undoOf(step, saga, awaiting, isNarrow) {
  const used = isUndoing(step), over = step.status === "COMPENSATED";
  const kind = used ? (over ? "undone" : "undoing") : "idle";
  const word = used ? (over ? "UNDONE" : "UNDOING") : saga.endedAt ? "not needed" : "if it fails";
  const phrases = awaiting ?? outcomeOf(step, used ? step.compensation.tries.at(-1)?.reply : null);
  return { looks: `${kind} ${awaiting ? "waits" : ""}`, kind, name: isNarrow ? "undo" : "compensation", word, sent: step.compensation.command, phrases };
}

function outcomeOf(step, reply) {
  if (step.status === "SKIPPED") return ["left out"];
  if (!reply) return [];
  return [reply.type.split(".").at(-1), ...(reply.at ? [`at ${clock(reply.at)}`] : [])];
}

/** Which attempt it is and how long the next is away, counted down. */
function awaitingOf(waitsFor, now) {
  const copy = `copy ${waitsFor.attempt} of ${waitsFor.attempts}`;
  if (waitsFor.next === "none") return [`${copy},`, "suspended"];
  if (!waitsFor.dueAt) return [copy];
  const left = Math.max(0, new Date(waitsFor.dueAt) - now);
  return [`${copy},`, left ? `${Math.ceil(left / 1000)} s left` : "due now"];
}

/** A box's lines with their baselines below its top; where it is narrow, each phrase has its own, lest a countdown changes how many there are. */
function linesOf({ name, word, sent, phrases }, room, isNarrow) {
  const said = isNarrow ? phrases : [phrases.join(" ")];
  const texts = [["name", name], ["word", word], ["mono", sent], ...said.map((each) => ["soft", each])];
  let y = 0;
  return texts.flatMap(([looks, text], index) => {
    const { letter, below, again, indent = 0 } = LINES[looks];
    return wrapped(text, room - indent, letter).map((line, number) => {
      y += number || texts[index - 1]?.[0] === looks ? again : below;
      return { looks, indent, text: line, y, isFirst: number === 0 };
    });
  });
}

const Box = ({ of, x, y, width, height }) => html`
  <g class="node ${of.looks}">
    <rect x=${x} y=${y} width=${width} height=${height} rx="9" />
    ${of.lines.map((line) => html`
      ${line.looks === "word" && line.isFirst && html`<${Mark} key="mark" kind=${of.kind} x=${x + PADDING.side + 7} y=${y + line.y - 4} size=${14} />`}
      <text key=${line.y} x=${x + PADDING.side + line.indent} y=${y + line.y} class=${line.looks}>${line.text}</text>`)}
  </g>`;

/** From the step that failed to the compensation above it, and from each compensation to the next above. */
function WayBack({ rows, left, right }) {
  const turned = rows.findIndex(({ step }) => step.status === "FAILED" && !isUndoing(step));
  const used = rows.filter(({ step, undo }) => undo && isUndoing(step));
  const x = right.x + right.width / 2, between = (left.x + left.width + right.x) / 2;
  const lowest = used.at(-1), failed = rows[turned];
  const low = ({ y, height }) => y + height / 2 + 16;
  return html`
    ${lowest && rows.indexOf(lowest) < turned && html`
      <path d="M${left.x + left.width} ${low(failed)}H${between - 4}V${low(lowest)}H${right.x}" class="way undoing" marker-end="url(#tip-undoing)" />`}
    ${used.slice(1).map((row, position) => html`
      <${Arrow} key=${row.y} from=${[x, row.y]} to=${[x, used[position].bottom]} kind="undoing" />`)}`;
}

function Terminal({ saga, x, y, width }) {
  const word = saga.status;
  return html`
    <g class="node terminal ${kindOf(word)}">
      <rect x=${x + 1} y=${y} width=${width - 2} height="32" rx="16" />
      <${Mark} kind=${kindOf(word)} x=${x + 22} y=${y + 16} />
      <text x=${x + 36} y=${y + 21} class="word ${kindOf(word)}">${word}</text>
    </g>`;
}

// ---- an order's life

const LANE = { wide: 56, saga: 26, narrow: 17, bar: 12, line: 15 };
const LONG_GAP_MS = 2000;

/** Time from top to bottom: the order's status, its money and its sagas as lanes, and beside them what happened. */
export function Timeline({ rows, spans, sagas }) {
  const [element, width] = useWidth(340);
  const isWide = width >= 640;
  const row = isWide ? 27 : 40;
  const times = isWide ? 168 : 70;
  const laneWidth = isWide ? LANE.wide : LANE.narrow;
  const sagaWidth = Math.min(isWide ? LANE.saga : LANE.narrow, 160 / Math.max(1, sagas));
  const lane = (index) => times + 8 + (index < 2 ? index * laneWidth : 2 * laneWidth + (index - 2) * sagaWidth) + LANE.bar / 2;
  const texts = lane(2 + sagas) + 4;
  const begin = rows.length ? new Date(rows[0].at) : 0;
  const top = isWide ? 34 : 12;
  const room = width - texts;
  let y = top, extra = 0;
  const placed = rows.map((each, index) => {
    const gap = index ? new Date(each.at) - new Date(rows[index - 1].at) : 0;
    const long = gap >= LONG_GAP_MS;
    // Nothing happens in most of an order's time: a long pause is drawn by its logarithm and says how long it was.
    const pause = long ? 18 + 9 * Math.log10(gap / 1000) : 0;
    const lines = isWide ? [cut(each.what, room, 8)] : wrapped(each.what, room, 8);
    y += pause + (index ? row + extra : row / 2);
    extra = (lines.length - 1) * LANE.line;
    return { ...each, y, lines, gap: long ? gap : null, pauseY: y - row / 2 - pause / 2, isNew: !index || gap > 0 };
  });
  const height = y + row + extra;
  const places = new Map(placed.map((each) => [each.key, each.y]));
  const yOf = (key, other) => places.get(key) ?? other;
  return html`
    <div class="picture" ref=${element}>
      <svg class="timeline" width=${width} height=${height} viewBox="0 0 ${width} ${height}" role="img" aria-label=${`Timeline of ${rows.length} events; the table below says the same.`}>
        ${isWide && [["order", 0], ["money", 1], ["sagas", 2]].map(([name, index]) => html`
          <text key=${name} x=${lane(index) - LANE.bar / 2} y="14" class="tag">${sagas || index < 2 ? name : ""}</text>`)}
        ${placed.map((each) => html`<${Row} key=${each.key} row=${each} begin=${begin} lane=${lane} texts=${texts} times=${times} isWide=${isWide} room=${room} />`)}
        ${spans.map((span) => html`<${Span} key=${span.key} span=${span} x=${lane(span.lane)} from=${yOf(span.from, top)} to=${yOf(span.to, height - 2)} />`)}
        ${placed.filter((each) => each.mark).map((each) => html`<${Moment} key=${each.key} row=${each} x=${lane(each.lane)} />`)}
      </svg>
    </div>`;
}

const sinceBegin = (ms) => (ms < 1000 ? `+${ms} ms` : ms < 60000 ? `+${(ms / 1000).toFixed(2)} s` : `+${duration(ms)}`);

function Row({ row, begin, lane, texts, times, isWide, room }) {
  const offset = sinceBegin(new Date(row.at) - begin);
  const more = isWide ? cut(row.more, room - row.what.length * 8 - 14, 6.4) : cut(row.more, room, 6.4);
  return html`
    ${row.gap !== null && html`
      <line x1=${times + 4} x2=${texts - 8} y1=${row.pauseY} y2=${row.pauseY} class="pause" />
      <text x=${texts} y=${row.pauseY + 4} class="soft italic">${duration(row.gap)} later</text>`}
    ${row.isNew && html`
      <text x=${isWide ? 72 : times - 6} y=${row.y + (isWide ? 4 : -2)} class="time" text-anchor="end">${offset}</text>
      <text x=${times - (isWide ? 8 : 6)} y=${row.y + (isWide ? 4 : 13)} class="time soft" text-anchor="end"><title>${inUtc(row.at)}</title>${clock(row.at)}</text>`}
    <line x1=${lane(row.lane) + LANE.bar / 2 + 3} x2=${texts - 5} y1=${row.y} y2=${row.y} class="leader" />
    <text x=${texts} y=${row.y + (isWide ? 4 : -2)}>
      ${row.lines.map((line, number) => html`<tspan key=${number} class="what ${row.kind}" ...${number ? { x: texts, dy: LANE.line } : {}}>${line}</tspan>`)}
      <tspan class="soft" ...${isWide ? { dx: 10 } : { x: texts, dy: LANE.line }}>${more}</tspan>
    </text>`;
}

const Span = ({ span, x, from, to }) => html`
  <g class="span ${span.kind} ${span.to === null ? "open" : ""}">
    <title>${span.word}</title>
    <rect x=${x - LANE.bar / 2} y=${from} width=${LANE.bar} height=${Math.max(2, to - from)} rx="3" />
  </g>`;

/** A command goes out by an arrow to the right, a reply comes in by one to the left, a change of state has its own shape. */
function Moment({ row, x }) {
  if (row.mark === "state") return html`<g class="moment"><circle cx=${x} cy=${row.y} r="8.5" class="plate" /><${Mark} kind=${row.kind} x=${x} y=${row.y} size=${15} /></g>`;
  const out = row.mark === "sent";
  return html`<path class="arrowhead ${row.kind}" d=${out ? `M${x - 4} ${row.y - 5}L${x + 6} ${row.y}L${x - 4} ${row.y + 5}z` : `M${x + 4} ${row.y - 5}L${x - 6} ${row.y}L${x + 4} ${row.y + 5}z`} />`;
}
