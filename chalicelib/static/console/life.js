// An order's life as rows and spans, read off the API's timeline: for the picture and for the table, so that both say the same.

import { kindOf } from "./ui.js";

// What happens at one moment, in this order: an answer comes, the order moves, the next command goes out. A command whose time is not kept
// stands before its answer.
const RANK = { begin: 0, before: 1, received: 2, state: 3, sent: 4, end: 5 };

/** {rows: [{key, at, lane, mark, kind, what, more, saga}], spans: [{key, lane, kind, word, from, to}]}; a span goes from row to row, by
 * their keys, and where `to` is null it has not ended. */
export function lifeOf({ history, sagas, deadLetters }) {
  const rows = [
    ...history.map(changeRow),
    ...sagas.flatMap((explained, index) => sagaRows(explained, index + 2)),
    ...deadLetters.map((letter) => ({
      key: letter.deadLetterId, at: letter.at, lane: 0, mark: "received", kind: "failed", rank: RANK.received, what: `dead letter: ${letter.error.split(": ")[0]}`, more: letter.type ?? "no type",
    })),
  ];
  rows.sort((one, other) => (one.at < other.at ? -1 : one.at > other.at ? 1 : one.rank - other.rank));
  return { rows, spans: [...statusSpans(history, "to", 0), ...statusSpans(history, "paymentTo", 1), ...sagas.map((each, index) => sagaSpan(each.saga, index + 2))] };
}

function changeRow(entry) {
  const moved = entry.from !== entry.to, paid = entry.paymentFrom !== entry.paymentTo;
  const said = Object.entries(entry.detail ?? {}).map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`);
  const what = moved ? entry.to : paid ? `payment ${entry.paymentTo}` : entry.event;
  const more = [moved && paid && `payment ${entry.paymentTo}`, `by ${entry.actor}`, ...said].filter(Boolean).join(", ");
  const status = moved || !paid ? entry.to : entry.paymentTo;
  return { key: `v${entry.version}`, at: entry.at, lane: moved || !paid ? 0 : 1, mark: moved || paid ? "state" : null, kind: kindOf(status), rank: RANK.state, what, more };
}

function sagaRows({ saga, path, waitsFor }, lane) {
  const of = { lane, saga: saga.sagaId };
  const rows = [{ ...of, key: `${saga.sagaId} begins`, at: saga.startedAt, mark: null, kind: "going", rank: RANK.begin, what: `${saga.name} begins`, more: "" }];
  for (const step of path) {
    rows.push(...exchangeRows(of, step, step.action, false), ...exchangeRows(of, step, step.compensation, true));
  }
  if (saga.endedAt) {
    const more = saga.error ? `${saga.error.code}: ${saga.error.detail}` : "";
    rows.push({ ...of, key: `${saga.sagaId} ends`, at: saga.endedAt, mark: "state", kind: kindOf(saga.status), rank: RANK.end, what: `${saga.name} ${saga.status}`, more });
  }
  if (waitsFor?.attempt > 1 && waitsFor.lastSentAt) {
    const more = `sent again, copy ${waitsFor.attempt} of ${waitsFor.attempts}${waitsFor.lastSentEstimated ? ", time estimated" : ""}`;
    rows.push({ ...of, key: `${waitsFor.commandId} again`, at: waitsFor.lastSentAt, mark: "sent", kind: "undoing", rank: RANK.sent, what: waitsFor.command, more });
  }
  return rows;
}

function exchangeRows(of, step, exchange, undo) {
  return (exchange?.tries ?? []).flatMap((attempt) => {
    const copies = attempt.copies > 1 ? `${attempt.copies} copies, ` : "";
    const name = undo ? `undo of ${step.step}` : step.step;
    const kind = undo ? "undoing" : "going";
    const at = attempt.sentAt ?? attempt.reply?.at, unknown = attempt.sentAt ? "" : ", at a time that is not kept";
    const rank = attempt.sentAt ? RANK.sent : RANK.before;
    const sent = at && { ...of, key: attempt.commandId, at, mark: "sent", kind, rank, what: exchange.command, more: `${copies}${name}${unknown}` };
    const reply = attempt.reply?.at && {
      ...of, key: `${attempt.commandId} reply`, at: attempt.reply.at, mark: "received", kind: kindOfReply(exchange, attempt.reply, undo), rank: RANK.received, what: attempt.reply.type, more: name,
    };
    return [sent, reply].filter(Boolean);
  });
}

/** The first of an exchange's replies is the one that was hoped for. */
const kindOfReply = (exchange, reply, undo) => (reply.type !== exchange.replies[0] ? "failed" : undo ? "undone" : "done");

/** From each entry that moved to the next that did. */
function statusSpans(history, field, lane) {
  const moves = history.filter((entry, index) => !index || entry[field] !== history[index - 1][field]);
  return moves.map((entry, index) => ({
    key: `${field} ${entry.version}`, lane, kind: kindOf(entry[field]), word: entry[field], from: `v${entry.version}`, to: moves[index + 1] ? `v${moves[index + 1].version}` : null,
  }));
}

const sagaSpan = (saga, lane) => ({ key: saga.sagaId, lane, kind: kindOf(saga.status), word: `${saga.name} ${saga.status}`, from: `${saga.sagaId} begins`, to: saga.endedAt ? `${saga.sagaId} ends` : null });
