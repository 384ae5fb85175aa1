"""The page of messages lists what the code has, and keeps what was written by hand."""

from pathlib import Path

import pytest

from chalicelib.messages.commands import COMMANDS
from chalicelib.messages.events import EVENTS
from chalicelib.messages.replies import REPLIES
from chalicelib.messages.topics import PARTITIONS
from infra.documents import message_tables
from infra.documents.asyncapi.headers import ATTRIBUTES, DEAD_LETTER, OMITTED
from infra.documents.message_tables import BEGIN, DOCUMENT, END, FILE, document, renewed, tables


def test_the_page_is_up_to_date() -> None:
    page = FILE.read_text(encoding="utf-8")
    assert renewed(page) == page, "run `make declare`"
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run `make declare`"


def test_every_topic_message_and_header_of_a_dead_letter_is_listed() -> None:
    lines = tables().splitlines()

    assert [line.removeprefix("### ") for line in lines if line.startswith("### ")] == list(PARTITIONS)
    for type in (*COMMANDS, *REPLIES, *EVENTS, *DEAD_LETTER, *OMITTED):
        assert len([line for line in lines if line.startswith(f"| `{type}` |")]) == 1


def test_a_row_says_when_with_which_fields_and_what_answers_it() -> None:
    lines = tables().splitlines()

    assert (
        "| `payment.authorize` | create_order: authorize_payment | `orderId` `customerId` `paymentMethodId` `amount` `currency` "
        "| `payment.authorized` or `payment.declined` |"
    ) in lines
    [release] = [line for line in lines if line.startswith("| `payment.release` |")]
    assert "`paymentId`?" in release
    assert release.endswith("| `payment.released` |")


def test_every_header_is_explained() -> None:
    page = FILE.read_text(encoding="utf-8").partition(BEGIN)[0]
    assert all(f"\n| `{name}` |" in page for name in (*ATTRIBUTES, "ce_type", "ce_sequence"))


def test_only_what_stands_between_the_marks_is_made_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "infra" / "docs" / "messages.md"
    file.parent.mkdir(parents=True)
    file.write_text(f"# By hand\n{BEGIN}old\n{END}By hand too\n", encoding="utf-8")

    message_tables.list_messages(file)

    assert file.read_text(encoding="utf-8") == f"# By hand\n{BEGIN}\n{tables()}\n{END}By hand too\n"
    assert capsys.readouterr().out == "wrote infra/docs/messages.md\nwrote infra/docs/asyncapi.json\n"


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}{BEGIN}"])
def test_a_page_without_the_marks_is_not_touched(page: str) -> None:
    with pytest.raises(ValueError, match="has lost the marks"):
        renewed(page)
