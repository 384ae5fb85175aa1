"""A Lambda function that fails on demand, and writes down what it was given and what it did.

It runs in the emulator's child process and is looked up by its file's name, so it imports nothing of the tests. A record's value names
its key and its fate: how the function fails when it meets the record, and how many times. Where it stands in the log is when it happened.
"""

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ.get("UNRULY_FOLDER", "."))
LONGER_THAN_ANY_TIMEOUT = 60
# The emulator that started this process; once it is killed another one is the parent.
LIFE = os.getppid()


class Malformed(Exception):
    """The answer will be none that Lambda knows."""


def handle(event: Any, context: Any) -> Any:
    """Do the records in their order, but those that follow a failed one of the same key; report what was not done."""
    records = [record for records in event["records"].values() for record in records]
    given = [(record["partition"], record["offset"]) for record in records]
    note("given", given)
    try:
        failed = [{"itemIdentifier": item} for item in do(records)]
    except Malformed:
        return {"batchItemFailures": [{"itemIdentifier": {"partition": "nowhere-0", "offset": -1}}]}
    if failed:
        note("reported", given)
    return {"batchItemFailures": failed}


def do(records: list[Any]) -> list[dict[str, Any]]:
    """What names the records that were not done."""
    failed: list[dict[str, Any]] = []
    blocked: set[str] = set()
    for record in records:
        value = json.loads(base64.b64decode(record["value"]))
        place = (record["partition"], record["offset"])
        if value["key"] in blocked or fails(value["fate"], value["times"], place):
            blocked.add(value["key"])
            failed.append({"partition": f"{record['topic']}-{place[0]}", "offset": place[1]})
        else:
            note("done", place)
    return failed


def fails(fate: str, times: int, place: tuple[int, int]) -> bool:
    """Whether the record fails this time; all fates but `partial` end the invocation right here."""
    if fate == "fine":
        return False
    tries = FOLDER / f"tries-{place[0]}-{place[1]}"
    with tries.open("ab") as file:
        file.write(b".")
    if tries.stat().st_size > times:
        return False
    if fate == "raise":
        raise RuntimeError(f"record {place} fails")
    if fate == "malformed":
        raise Malformed
    if fate == "hang":
        time.sleep(LONGER_THAN_ANY_TIMEOUT)
    if fate == "exit":
        os._exit(3)
    return True


def note(what: str, detail: Any) -> None:
    """Append a line, whole or not at all."""
    line = json.dumps({"what": what, "life": LIFE, "pid": os.getpid(), "detail": detail}) + "\n"
    log = os.open(FOLDER / "unruly.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(log, line.encode())
    os.close(log)
