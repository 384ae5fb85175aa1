"""`make dead-letters`, `make redrive`, `make dismiss`: what could not be taken, as a table, taken after all, or dismissed, over HTTP."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from chalicelib.messages.wire import id_of
from infra.console import complain, say
from infra.operator.api import ApiError, OperatorApi, RefusedError, operator_api
from infra.stack.running import NotRunningError, telling

PATH = "/api/dead-letters"
MOST_SHOWN = 200
ERROR_LIMIT = 200
EXAMPLE = "for example: make redrive ID=0192…, or make redrive ERROR=UnknownDefinition, with DRY=1 to see what would change"
DISMISS_EXAMPLE = 'for example: make dismiss ID=0192… REASON="settled with the partner"'
Json = Mapping[str, Any]


def dead_letters() -> int:
    """Print the dead letters that wait, narrowed by ERROR, ORDER and SAGA, with ALL also all others; return the exit code."""
    given = {"errorClass": _given("ERROR"), "orderId": _given("ORDER"), "sagaId": _given("SAGA")}
    query = {name: text for name, text in given.items() if text}
    if not _is_set("ALL"):
        query["redriven"] = "false"
    try:
        with telling("reading"):
            found = list(islice(operator_api().items(PATH, query), MOST_SHOWN + 1))
    except (NotRunningError, ApiError, RefusedError) as error:
        complain(f"make dead-letters: {error}")
        return 1
    say(*table(found))
    return 0


def redrive() -> int:
    """Redrive the dead letter ID, or all that wait with the error class ERROR, oldest first, for REASON if one is given.

    Return 0 if every one was taken.
    """
    id, error_class = _given("ID"), _given("ERROR")
    if bool(id) == bool(error_class):
        complain(f"make redrive: name one dead letter or one error class; {EXAMPLE}")
        return 1
    try:
        api = operator_api()
        if id:
            return _redrive_one(api, _uuid(id, EXAMPLE), dry=_is_set("DRY"))
        return _redrive_class(api, error_class, dry=_is_set("DRY"))
    except (NotRunningError, ApiError, RefusedError) as error:
        complain(f"make redrive: {error}")
        return 1


def dismiss() -> int:
    """Dismiss the dead letter ID for REASON: it will never be taken. Return 0 if it is dismissed, by this command or before."""
    id, reason = _given("ID"), _given("REASON")
    if not id or not reason:
        complain(f"make dismiss: name one dead letter and a reason; {DISMISS_EXAMPLE}")
        return 1
    try:
        letter = operator_api().post(f"{PATH}/{_uuid(id, DISMISS_EXAMPLE)}/dismiss", {"reason": reason})
    except (NotRunningError, ApiError, RefusedError) as error:
        complain(f"make dismiss: {error}")
        return 1
    say(f"{_named(letter)}: dismissed {letter['dismissedAt']} by {letter['dismissedBy']}: {letter['dismissReason']}")
    return 0


def table(found: Sequence[Json]) -> list[str]:
    """The dead letters as a table, newest first; of more than fit, that there are more."""
    if not found:
        return ["no dead letters"]
    shown = found[:MOST_SHOWN]
    width = max(len(_place(letter)) for letter in shown)
    lines = [f"{'when':<24}  {'id':<36}  {'where':<{width}}  {'tries':>5}  {'order':<36}  type, error"]
    for letter in shown:
        about = f"{letter['type'] or 'no type'}, {letter['error'][:ERROR_LIMIT]}"
        settled = [f", {how} {letter[at]}" for how, at in (("redriven", "redrivenAt"), ("dismissed", "dismissedAt")) if letter[at]]
        place = f"{letter['deadLetterId']}  {_place(letter):<{width}}  {letter['deliveryCount']:>5}  {letter['orderId'] or '':<36}"
        lines.append(f"{letter['at']}  {place}  {about}{''.join(settled)}")
    if len(found) > MOST_SHOWN:
        lines.append("… and more; narrow them by ERROR=…, ORDER=… or SAGA=…")
    return lines


def diff(changes: Sequence[Json]) -> Iterator[str]:
    """The lines of a diff: what was, behind a minus, and what is, behind a plus."""
    title = ""
    for change in changes:
        if change["what"] == "message":
            yield f"  + message {change['to']['type']} on {change['to']['topic']}"
            continue
        if title != (title := f"  {change['what']} {change['id']}"):
            yield title
        for sign, value in (("-", change["from"]), ("+", change["to"])):
            if value is not None:
                yield f"  {sign} {change['pointer']} {json.dumps(value, ensure_ascii=False)}"


def _redrive_one(api: OperatorApi, id: UUID, *, dry: bool) -> int:
    answered = _redriven(api, str(id), dry=dry)
    say(f"{_named(answered['deadLetter'])}: {'would be taken' if dry else 'taken'}")
    say(*diff(answered["changes"]))
    return 0


def _redrive_class(api: OperatorApi, error_class: str, *, dry: bool) -> int:
    with telling("reading"):
        waiting = list(api.items(PATH, {"errorClass": error_class, "redriven": "false"}))
    refused = 0
    for number, letter in enumerate(reversed(waiting), start=1):
        heading = f"[{number}/{len(waiting)}] {_named(letter)}"
        try:
            answered = _redriven(api, letter["deadLetterId"], dry=dry)
        except RefusedError as error:
            refused += 1
            say(f"{heading}: refused: {error}")
            continue
        say(*[f"{heading}: would be taken", *diff(answered["changes"])] if dry else [f"{heading}: taken"])
    taken = f"{len(waiting) - refused} of {len(waiting)} dead letters"
    say(f"{taken} {'would be' if dry else 'were'} taken, {refused} refused" if waiting else f"no dead letter waits with {error_class}")
    return 1 if refused else 0


def _redriven(api: OperatorApi, id: str, *, dry: bool) -> Json:
    return api.post(f"{PATH}/{id}/redrive", {"dryRun": dry, "reason": _given("REASON") or None})


def _named(letter: Json) -> str:
    return f"{letter['deadLetterId']} {letter['type'] or 'no type'} at {_place(letter)}"


def _place(letter: Json) -> str:
    return f"{letter['topic']}/{letter['partition']}/{letter['offset']}"


def _uuid(text: str, example: str) -> UUID:
    try:
        return id_of(text)
    except ValueError:
        raise ApiError(f"ID must be a UUID, not {text!r}; {example}") from None


def _given(name: str) -> str:
    return os.environ.get(name, "").strip()


def _is_set(name: str) -> bool:
    return _given(name).lower() not in ("", "0", "no", "false")
