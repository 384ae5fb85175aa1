"""`make logs ORDER=…`: every log line about one order, of all functions, by time; at home, or with a STAGE of a deployed service."""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.errors import SettingsError
from chalicelib.messages.wire import id_of
from infra.console import Line, Styled, complain, say
from infra.stack.running import telling
from infra.stack.settings import data_dir

EXAMPLE = "for example: make logs ORDER=0192…, and of a deployed service: make logs ORDER=0192… STAGE=dev"
# What a line is shown with, in this order, where it has it.
DETAILS = (
    "saga",
    "status",
    "outcome",
    "step",
    "method",
    "path",
    "error_class",
    "error",
    "detail",
    "message_id",
    "command_id",
    "request_id",
)
TROUBLE = ("WARNING", "ERROR", "CRITICAL")
GROUPS = "/aws/lambda/campusg-orders-{stage}-"
# CloudWatch Logs' own limits: groups of one query, and lines of its answer.
MOST_GROUPS, MOST_LINES = 50, 10_000
HOURS = 24.0
POLL_SECONDS = 0.5
UNFINISHED = ("Scheduled", "Running")


class LogsError(Exception):
    """The logs can't be read; the message says why."""


@dataclass(frozen=True)
class Entry:
    """A log line, and the part of the stack or the function whose it is."""

    part: str
    fields: Mapping[str, Any]

    @property
    def at(self) -> str:
        return str(self.fields.get("timestamp", ""))


def logs() -> int:
    """Print the lines about ORDER; return 1 where there are none."""
    try:
        order_id = _order(os.environ)
        stage = os.environ.get("STAGE", "").strip()
        found = list(deployed(order_id, stage, _hours(os.environ)) if stage else at_home(order_id, data_dir() / "logs"))
    except LogsError as error:
        complain(f"make logs: {error}")
        return 1
    if not found:
        complain(f"make logs: no line is about order {order_id}")
        return 1
    say(*table(found))
    return 0


def at_home(order_id: str, folder: Path) -> list[Entry]:
    """The lines in the logs of a stack's parts, the files that were put aside included."""
    if not folder.is_dir():
        raise LogsError(f"there are no logs in {folder}; name another DATA_DIR")
    files = sorted(folder.glob("*.log.1")) + sorted(folder.glob("*.log"))
    return _by_time(entry for file in files for entry in _of_file(file, order_id))


def deployed(order_id: str, stage: str, hours: float) -> list[Entry]:
    """The lines of a deployed service's functions, asked of CloudWatch Logs Insights."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        with telling("asking CloudWatch Logs"):
            return _by_time(_asked(boto3.client("logs"), order_id, stage, hours))
    except (BotoCoreError, ClientError) as error:
        raise LogsError(f"CloudWatch Logs: {error}") from error


def table(entries: Sequence[Entry]) -> Iterator[Line]:
    """A row for each line: when, where, what."""
    width = max(len(entry.part) for entry in entries)
    for entry in entries:
        message = str(entry.fields.get("message", ""))
        details = "  ".join(f"{name}={entry.fields[name]}" for name in DETAILS if entry.fields.get(name) is not None)
        said: str | Styled = Styled(message, "bad") if entry.fields.get("level") in TROUBLE else message
        yield (Styled(entry.at.partition("+")[0], "time"), f"  {entry.part:<{width}}  ", said, f"  {details}")


def _of_file(file: Path, order_id: str) -> Iterator[Entry]:
    with file.open(encoding="utf-8", errors="replace") as lines:
        yield from (entry for line in lines if (entry := _entry(file.name.partition(".")[0], line, order_id)))


def _asked(client: Any, order_id: str, stage: str, hours: float) -> Iterator[Entry]:
    prefix = GROUPS.format(stage=stage)
    groups = client.describe_log_groups(logGroupNamePrefix=prefix, limit=MOST_GROUPS)["logGroups"]
    if not groups:
        raise LogsError(f"no function of stage {stage} has a log: {prefix}…")
    now = time.time()
    query = client.start_query(
        logGroupNames=[group["logGroupName"] for group in groups],
        startTime=int(now - hours * 3600),
        endTime=int(now) + 1,
        queryString=f'fields @timestamp, @log, @message | filter @message like "{order_id}" | sort @timestamp asc | limit {MOST_LINES}',
    )
    while (answer := client.get_query_results(queryId=query["queryId"]))["status"] in UNFINISHED:
        time.sleep(POLL_SECONDS)
    if answer["status"] != "Complete":
        raise LogsError(f"the query ended as {answer['status']}")
    for row in answer["results"]:
        fields = {field["field"]: field["value"] for field in row}
        entry = _entry(fields["@log"].rpartition(prefix)[2], fields["@message"], order_id)
        if entry:
            yield entry


def _entry(part: str, line: str, order_id: str) -> Entry | None:
    """The line, if it is about the order; parts that are not ours write no JSON."""
    if order_id not in line or not line.startswith("{"):
        return None
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return Entry(part, fields) if "message" in fields else None


def _by_time(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.at)


def _order(environ: Mapping[str, str]) -> str:
    text = environ.get("ORDER", "").strip()
    try:
        return str(id_of(text))
    except ValueError:
        raise LogsError(f"ORDER must be an order's id; {EXAMPLE}") from None


def _hours(environ: Mapping[str, str]) -> float:
    text = environ.get("HOURS", "").strip()
    try:
        hours = float(text or HOURS)
    except ValueError:
        hours = 0
    if not 0 < hours <= 24 * 3653:
        raise SettingsError("HOURS must be a number of hours, such as 24")
    return hours
