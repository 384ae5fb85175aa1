"""`make waterfall ORDER=…`: where an order's milliseconds went, as bars: from the traces that its requests and messages have left.

The stack's own log has the requests, the tables have when a saga's transactions and the partners' read the clock, and the records of Kafka
when they were handed to a producer. All in milliseconds, by the clock of one machine. What has left no trace (a part of somebody else's,
records that Kafka has dropped: the embedded broker does after two minutes) is drawn together with what follows it.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from chalicelib.messages.topics import PARTITIONS
from chalicelib.messages.wire import id_of
from infra.console import Line, Styled, complain, say
from infra.esm.connecting import connected
from infra.stack.checks import hidden, reason
from infra.stack.running import NotRunningError, operator_session, run_info, telling
from infra.stack.settings import data_dir

EXAMPLE = "for example: make waterfall ORDER=0192…"
BAR_WIDTH, TIME_WIDTH = 44, 8
# A record of a saga may be sent a little after the saga has ended: what it says last.
AFTERWARDS = timedelta(seconds=5)
READ_MILLISECONDS = 500
TOPICS = tuple(topic for topic in PARTITIONS if topic.endswith(("-commands", "-events")) and not topic.startswith("order"))
REQUEST = re.compile(
    r"^(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) infra\.gateway\.access request method=(?P<method>\w+) path=(?P<path>\S+) "
    r"status=(?P<status>\d+) ms=(?P<ms>[\d.]+) correlation_id=(?P<id>\S+)$",
    re.MULTILINE,
)
SAGAS = sa.text("""
    SELECT saga_id, name, status, correlation_id, started_at, ended_at, steps FROM campusg.sagas
    WHERE order_id = :order_id ORDER BY started_at, saga_id""")
CHANGES = sa.text("SELECT saga_id, at FROM campusg.order_history WHERE order_id = :order_id AND saga_id IS NOT NULL")
ANSWERED = sa.text("SELECT command_id, type, answered_at FROM partners.answers WHERE order_id = :order_id")


class UnknownOrderError(Exception):
    """There is no such order; the message says which."""


@dataclass(frozen=True)
class Request:
    """A request of the gateway's log."""

    method: str
    path: str
    status: str
    begun: datetime
    ended: datetime


@dataclass
class Exchange:
    """A command and its reply, as far as they have left traces; `copies`: how often it was sent."""

    type: str
    reply: str = ""
    sent: datetime | None = None
    copies: int = 1
    worked: datetime | None = None
    replied: datetime | None = None

    @property
    def first(self) -> datetime | None:
        """When it left its first trace, None if it has left none."""
        return self.sent or self.worked or self.replied


@dataclass(frozen=True)
class Run:
    """One saga: who asked for it, when its transactions read the clock, and its exchanges, in the order of their sending."""

    title: str
    began: datetime
    ended: datetime | None
    changes: Sequence[datetime] = ()
    exchanges: Sequence[Exchange] = ()
    request: Request | None = None


@dataclass(frozen=True)
class Span:
    """A stretch of time and what it was spent on."""

    says: str
    begun: datetime
    ended: datetime
    style: str = "under way"


def waterfall() -> int:
    """Print a picture for each saga of ORDER; return the exit code."""
    try:
        order_id = _asked(os.environ)
        info = run_info(data_dir())
    except (NotRunningError, ValueError) as error:
        complain(f"make waterfall: {error}")
        return 1
    url, bootstrap = str(info["postgres"]["url"]), str(info["kafka"]["bootstrap"])
    try:
        with telling("reading tables, topics and logs"):
            runs = look(url, bootstrap, data_dir() / "logs", order_id)
    except UnknownOrderError as error:
        complain(f"make waterfall: {error} in {hidden(url)}")
        return 1
    except (sa.exc.SQLAlchemyError, KafkaError, OSError) as error:
        complain(f"make waterfall: {hidden(url)}, {bootstrap}: {reason(error) if isinstance(error, sa.exc.SQLAlchemyError) else error}")
        return 1
    for run in runs:
        say(*picture(run), "")
    return 0


def look(database_url: str, bootstrap: str, logs: Path, order_id: UUID) -> list[Run]:
    """All traces of an order's sagas, oldest first. Raises UnknownOrderError where there is none."""
    with operator_session(database_url) as session:
        rows = [dict(row) for row in session.execute(SAGAS, {"order_id": order_id}).mappings()]
        if not rows:
            raise UnknownOrderError(f"there is no saga of an order {order_id}")
        changes: dict[UUID, set[datetime]] = defaultdict(set)
        for row in session.execute(CHANGES, {"order_id": order_id}):
            changes[row.saga_id].add(row.at)
        has_books = session.execute(sa.text("SELECT to_regclass('partners.answers') IS NOT NULL")).scalar_one()
        books = session.execute(ANSWERED, {"order_id": str(order_id)}).all() if has_books else []
    exchanges = _exchanges(rows)
    for command_id, type, answered_at in books:
        if command_id in exchanges:
            exchanges[command_id].type, exchanges[command_id].worked = type, answered_at
    _add_records(exchanges, bootstrap, order_id, rows[0]["started_at"], rows[-1]["ended_at"])
    requests = _requests(logs, {row["correlation_id"] for row in rows})
    return [_run(row, changes[row["saga_id"]], exchanges, requests.get(row["correlation_id"], [])) for row in rows]


def spans(run: Run) -> list[Span]:
    """What the time of a saga went to, from the request to its answer: pure."""
    found = []
    if run.request:
        asked = f"{run.request.method} {run.request.path}"
        found.append(Span(f"{asked}: read, checked, until the transaction's clock", run.request.begun, run.began, "time"))
    for exchange in run.exchanges:
        found += _exchange(exchange, run)
    if run.request and run.ended:
        found.append(Span(f"written, committed, answered {run.request.status}", run.ended, run.request.ended, "time"))
    return [span for span in found if span.ended > span.begun]


def picture(run: Run) -> list[Line]:
    """A saga's spans as bars over the whole time; what took longest stands out: pure."""
    found = spans(run)
    begun = min([run.began, *(span.begun for span in found)])
    ended = max([run.ended or run.began, *(span.ended for span in found)])
    whole = max((ended - begun).total_seconds(), 0.001)
    longest = max((span.ended - span.begun for span in found), default=timedelta())
    lines: list[Line] = [(Styled(run.title, "title"), f", {whole * 1000:.0f} ms"), f"  {'from ms':>{TIME_WIDTH}} {'took ms':>{TIME_WIDTH}}"]
    for span in found:
        first = round((span.begun - begun).total_seconds() / whole * BAR_WIDTH)
        last = round((span.ended - begun).total_seconds() / whole * BAR_WIDTH)
        bar = " " * min(first, BAR_WIDTH - 1) + "█" * max(1, last - first)
        took = _milliseconds(span.ended - span.begun)
        style = "bad" if span.ended - span.begun == longest else span.style
        lines.append((f"  {_milliseconds(span.begun - begun)} {took}  ", Styled(f"{bar:<{BAR_WIDTH}}", style), f"  {span.says}"))
    return lines


def _exchange(exchange: Exchange, run: Run) -> Iterator[Span]:
    """The stretches of a command: out of the service, through the partner, and back; each ends with a trace."""
    if exchange.first is None:
        return
    type, reply = exchange.type, exchange.reply or exchange.type
    copies = f", {exchange.copies} copies" if exchange.copies > 1 else ""
    known = [(max((change for change in run.changes if change <= exchange.first), default=run.began), "", "")]
    if exchange.sent:
        known.append((exchange.sent, f"{type}: written, committed, handed to Kafka{copies}", "good"))
    if exchange.worked:
        known.append((exchange.worked, f"{type}: {'acknowledged' if exchange.sent else 'sent'}, taken by the partner", "under way"))
    if exchange.replied:
        known.append((exchange.replied, f"{reply}: {'' if exchange.worked else 'taken, '}worked, committed, handed to Kafka", "under way"))
    taken = min((change for change in run.changes if change >= known[-1][0]), default=None) if exchange.reply else None
    if taken:
        known.append((taken, f"{reply}: {'acknowledged' if exchange.replied else 'sent'}, taken by the saga", "good"))
    for (begun, _, _), (ended, says, style) in pairwise(known):
        yield Span(says, begun, ended, style)


def _exchanges(rows: Sequence[Mapping[str, Any]]) -> dict[str, Exchange]:
    """What the sagas say of their commands, by the commands' ids: whose they are, and which reply settled them."""
    found = {}
    for step in (step for row in rows for step in row["steps"]):
        for attempt in step["tries"]:
            reply = attempt.get("reply")
            found[str(attempt["command_id"])] = Exchange(step["name"], reply["type"] if reply else "")
    return found


def _run(row: Mapping[str, Any], changes: set[datetime], exchanges: Mapping[str, Exchange], requests: Sequence[Request]) -> Run:
    steps = [datetime.fromisoformat(step[name]) for step in row["steps"] for name in ("started_at", "ended_at") if step.get(name)]
    times = {row["started_at"], *changes, *steps, *([row["ended_at"]] if row["ended_at"] else [])}
    own = [exchanges[str(attempt["command_id"])] for step in row["steps"] for attempt in step["tries"]]
    # One correlation id may have been given to several requests; the log has milliseconds only.
    slack = timedelta(milliseconds=1)
    asking = [request for request in requests if request.begun - slack <= row["started_at"] <= request.ended + slack]
    return Run(
        title=f"{row['name']} {row['saga_id']} {row['status']}",
        began=row["started_at"],
        ended=row["ended_at"],
        changes=sorted(times),
        exchanges=sorted(own, key=lambda each: each.first or row["started_at"]),
        request=asking[0] if asking else None,
    )


def _requests(logs: Path, correlation_ids: set[str]) -> Mapping[str, list[Request]]:
    """The requests with these correlation ids, from the gateway's log and the one before."""
    found: dict[str, list[Request]] = defaultdict(list)
    for log in (logs / "gateway.log.1", logs / "gateway.log"):
        text = log.read_text(errors="replace") if log.exists() else ""
        for line in REQUEST.finditer(text):
            if line["id"] in correlation_ids:
                ended = datetime.strptime(line["at"], "%Y-%m-%d %H:%M:%S,%f").astimezone().astimezone(UTC)
                begun = ended - timedelta(milliseconds=float(line["ms"]))
                found[line["id"]].append(Request(line["method"], line["path"], line["status"], begun, ended))
    return found


def _add_records(exchanges: Mapping[str, Exchange], bootstrap: str, order_id: UUID, begun: datetime, ended: datetime | None) -> None:
    """Add what the topics still hold of an order's commands and replies."""
    last = (ended or datetime.now(UTC)) + AFTERWARDS
    consumer = connected(KafkaConsumer, bootstrap_servers=bootstrap.split(","), enable_auto_commit=False, metrics_enabled=False)
    with closing(consumer):
        partitions = [TopicPartition(topic, number) for topic in TOPICS for number in range(PARTITIONS[topic])]
        of_order = [record for record in _between(consumer, partitions, begun, last) if record.key == str(order_id).encode()]
    sent: Counter[str] = Counter()
    for record in sorted(of_order, key=lambda each: each.timestamp):
        headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
        command_id = headers.get("ce_causationid" if record.topic.endswith("-events") else "ce_id", "")
        exchange = exchanges.get(command_id)
        if exchange is None:
            continue
        if record.topic.endswith("-events"):
            exchange.replied = exchange.replied or _time(record.timestamp)
            continue
        sent[command_id] += 1
        exchange.type, exchange.copies = headers.get("ce_type", exchange.type), sent[command_id]
        exchange.sent = exchange.sent or _time(record.timestamp)


def _between(consumer: KafkaConsumer, partitions: Sequence[TopicPartition], begun: datetime, last: datetime) -> Iterator[Any]:
    """The records of a stretch of time."""
    since = int(begun.timestamp() * 1000) - 1000
    starts = {partition: start.offset for partition, start in consumer.offsets_for_times(dict.fromkeys(partitions, since)).items() if start}
    consumer.assign(list(starts))
    for partition, offset in starts.items():
        consumer.seek(partition, offset)
    ends = consumer.end_offsets(list(starts))
    left = {partition for partition in starts if starts[partition] < ends[partition]}
    while left:
        for partition, records in consumer.poll(timeout_ms=READ_MILLISECONDS).items():
            yield from records
            if consumer.position(partition) >= ends[partition] or _time(records[-1].timestamp) > last:
                left.discard(partition)
                consumer.pause(partition)


def _asked(environment: Mapping[str, str]) -> UUID:
    text = environment.get("ORDER", "").strip()
    try:
        return id_of(text)
    except ValueError:
        raise ValueError(f"ORDER must be a UUID, not {text!r}; {EXAMPLE}") from None


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _milliseconds(span: timedelta) -> str:
    return f"{span.total_seconds() * 1000:{TIME_WIDTH}.0f}"
