"""`make declare`: the messages list themselves, a table a topic, in `infra/docs/messages.md`; the rest of the page is written by hand.

Beside it stands the AsyncAPI document, for tools and for reading its changes in a diff.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from chalicelib.messages.topics import PARTITIONS
from infra.console import say
from infra.documents.asyncapi.catalogue import Message, of_topic
from infra.documents.asyncapi.document import build
from infra.documents.asyncapi.headers import DEAD_LETTER, OMITTED

FILE = Path(__file__).parents[1] / "docs" / "messages.md"
DOCUMENT = FILE.with_name("asyncapi.json")
BEGIN = "<!-- From here on made by `make declare`: don't edit. -->\n"
END = "<!-- End of what is made. -->\n"
NOTHING = "–"


def list_messages(page: Path = FILE) -> None:
    """Write the tables on the page anew, and the document beside it."""
    described = page.with_name(DOCUMENT.name)
    page.write_text(renewed(page.read_text(encoding="utf-8")), encoding="utf-8")
    described.write_text(document(), encoding="utf-8")
    for file in (page, described):
        say(f"wrote {file.relative_to(file.parents[2])}")


def document() -> str:
    """The AsyncAPI document as the file holds it."""
    return json.dumps(build(), indent=1, ensure_ascii=False) + "\n"


def renewed(page: str) -> str:
    """The page with today's tables; raises ValueError where the marks between which they stand are gone."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{FILE.name} has lost the marks between which the tables stand")
    return f"{before}{BEGIN}\n{tables()}\n{END}{after}"


def tables() -> str:
    """A table for each topic: the same text for the same messages."""
    return "\n".join(line for topic in PARTITIONS for line in _table(topic))


def _table(topic: str) -> Iterator[str]:
    partitions = PARTITIONS[topic]
    messages = of_topic(topic)
    key = "the order's id" if messages else "as it came"
    yield from (f"### {topic}", "", f"{partitions} partition{'s' if partitions > 1 else ''}; key: {key}.", "")
    if not messages:
        yield from ("| header | when |", "| --- | --- |", *_dead_letter_rows(), "")
        return
    answered = any(message.answers for message in messages)
    yield f"| message | when | fields |{' answered by |' if answered else ''}"
    yield f"| --- | --- | --- |{' --- |' if answered else ''}"
    yield from (_row(message, answered=answered) for message in messages)
    yield ""


def _row(message: Message, *, answered: bool) -> str:
    fields = (f"`{field.alias}`{'' if field.is_required() else '?'}" for field in message.kind.model_fields.values())
    cells = [f"`{message.type}`", "; ".join(message.occasions), " ".join(fields)]
    if answered:
        cells.append(" or ".join(f"`{type}`" for type in message.answers) or NOTHING)
    return f"| {' | '.join(cells)} |"


def _dead_letter_rows() -> Iterator[str]:
    yield "| all that the record came with | unless left out |"
    yield from (f"| `{name}` | always |" for name in DEAD_LETTER)
    yield from (f"| `{name}` | where that part was left out as too large: its size in bytes |" for name in OMITTED)
