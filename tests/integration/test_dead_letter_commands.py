"""`make dead-letters`, `make redrive` and `make dismiss`: the table, the diff, many at once, and what is said where they can't do it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from infra.operator import api as operator_api
from infra.operator import dead_letters
from infra.stack import devkeys
from infra.stack.running import NotRunningError
from tests.integration.conftest import Service
from tests.support.database import Placed
from tests.support.edge import Edge, stop_minute
from tests.support.kafka_records import Record, answer
from tests.support.stack import local_command

UNKNOWN = "00000000-0000-7000-8000-000000000001"
VARIABLES = ("API_URL", "TOKEN", "ID", "REASON", "ERROR", "ORDER", "SAGA", "ALL", "DRY")


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    code: int
    out: list[str]
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(edge: Edge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, against the gateway, as an admin."""
    token = devkeys.token(edge.keys, ["admin"], "ops_1", datetime.now(UTC))

    def command(do: Callable[[], int], **variables: str) -> Ran:
        given = {"API_URL": f"http://127.0.0.1:{edge.port}/", "TOKEN": token, **variables}
        for name in VARIABLES:
            monkeypatch.setenv(name, given.get(name, ""))
        capsys.readouterr()
        code = do()
        said = capsys.readouterr()
        assert token not in said.out + said.err
        # The service in this process logs to stdout as well.
        return Ran(code, [line for line in said.out.splitlines() if not line.startswith("{")], said.err)

    return command


def unknown_definition(service: Service) -> Placed:
    """An order with a dead letter that could be taken by now."""
    placed = service.world.place()
    service.world.rows("UPDATE campusg.sagas SET definition_version = 9 WHERE saga_id = :id", id=placed.saga_id)
    service.on_events(answer(service.world.pending(placed)))
    service.world.rows("UPDATE campusg.sagas SET definition_version = 1 WHERE saga_id = :id", id=placed.saga_id)
    return placed


def letter_of(service: Service, placed: Placed) -> str:
    [row] = service.world.rows("SELECT dead_letter_id FROM campusg.dead_letters WHERE order_id = :id", id=placed.order_id)
    return str(row["dead_letter_id"])


def test_those_that_wait_are_a_table_newest_first(brokerless: Service, run: Run) -> None:
    placed = unknown_definition(brokerless)
    spoiled = Record("escrow-events", None, b"\x1b[2Jx", (("ce_type", b"\x1b]0;x\x07"),), partition=2)
    brokerless.on_events(spoiled)

    listed = run(dead_letters.dead_letters)

    heading, newest, older = listed.out
    assert (listed.code, heading.split()) == (0, ["when", "id", "where", "tries", "order", "type,", "error"])
    assert f"escrow-events/2/{spoiled.offset}" in newest
    assert "\\x1b]0;x\\x07, Unintelligible: " in newest
    assert f"  {letter_of(brokerless, placed)}  user-events/0/" in older
    assert older.endswith(f"1  {placed.order_id}  user.customer_validated, UnknownDefinition: create_order version 9 is not known here")
    assert all(line.isprintable() for line in listed.out)


def test_the_table_is_narrowed_and_what_was_redriven_is_shown_only_when_asked_for(brokerless: Service, run: Run) -> None:
    first, second = unknown_definition(brokerless), unknown_definition(brokerless)
    brokerless.world.rows("UPDATE campusg.dead_letters SET redriven_at = at WHERE order_id = :id", id=second.order_id)

    def ids(**variables: str) -> list[str]:
        return [line.split()[1] for line in run(dead_letters.dead_letters, **variables).out[1:]]

    one, two = letter_of(brokerless, first), letter_of(brokerless, second)
    assert ids() == ids(ERROR="UnknownDefinition") == ids(ORDER=str(first.order_id)) == ids(SAGA=str(first.saga_id)) == [one]
    assert ids(ALL="1") == [two, one]
    assert ", redriven 20" in run(dead_letters.dead_letters, ALL="1").out[1]
    assert run(dead_letters.dead_letters, ERROR="Misfit").out == ["no dead letters"]


def test_a_dry_run_prints_a_diff_and_changes_nothing_and_the_real_one_takes_it(brokerless: Service, run: Run) -> None:
    placed = unknown_definition(brokerless)
    letter = letter_of(brokerless, placed)

    tried = run(dead_letters.redrive, ID=letter, DRY="1")

    assert (tried.code, brokerless.world.order(placed)["version"]) == (0, 1)
    assert tried.out[0].startswith(f"{letter} user.customer_validated at user-events/0/")
    assert tried.out[0].endswith(": would be taken")
    status = tried.out.index('  - /orderStatus "CREATED"')
    assert tried.out[status + 1] == '  + /orderStatus "PENDING_PAYMENT"'
    assert tried.out.index(f"  order {placed.order_id}") < status < tried.out.index(f"  saga {placed.saga_id}")
    assert tried.out[-1] == "  + message payment.authorize on payment-commands"
    taken = run(dead_letters.redrive, ID=letter, REASON="released by now")
    assert (taken.code, taken.out[0].endswith(": taken"), len(taken.out)) == (0, True, len(tried.out))
    detail = brokerless.world.history(placed)[-1]["detail"]
    assert (detail["by"], detail["reason"]) == ("admin:ops_1", "released by now")
    again = run(dead_letters.redrive, ID=letter)
    assert (again.code, again.out, again.err) == (1, [], "make redrive: the dead letter was redriven before\n")


def test_a_whole_class_is_redriven_oldest_first_and_one_that_is_refused_stops_no_other(brokerless: Service, run: Run) -> None:
    placed = [unknown_definition(brokerless) for _ in range(3)]
    brokerless.on_events(Record("user-events", None, b"{", ()))
    brokerless.world.rows("UPDATE campusg.sagas SET definition_version = 8 WHERE saga_id = :id", id=placed[1].saga_id)
    letters = [letter_of(brokerless, each) for each in placed]

    tried = run(dead_letters.redrive, ERROR="UnknownDefinition", DRY="1")
    done = run(dead_letters.redrive, ERROR="UnknownDefinition")

    assert (tried.code, tried.out[-1]) == (1, "2 of 3 dead letters would be taken, 1 refused")
    assert [line.split(": ")[0].split()[:2] for line in done.out[:-1]] == [[f"[{n}/3]", letters[n - 1]] for n in (1, 2, 3)]
    assert [line.split(": ")[1] for line in done.out[:-1]] == ["taken", "refused", "taken"]
    assert (done.code, done.out[-1]) == (1, "2 of 3 dead letters were taken, 1 refused")
    assert [brokerless.world.order(each)["version"] for each in placed] == [2, 1, 2]
    brokerless.world.rows("UPDATE campusg.sagas SET definition_version = 1")
    assert run(dead_letters.redrive, ERROR="UnknownDefinition").out[-1] == "1 of 1 dead letters were taken, 0 refused"
    nothing = run(dead_letters.redrive, ERROR="UnknownDefinition")
    assert (nothing.code, nothing.out) == (0, ["no dead letter waits with UnknownDefinition"])


def test_more_letters_than_a_page_are_all_redriven(brokerless: Service, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_api, "PAGE", 2)
    placed = brokerless.world.place_many(5)
    brokerless.world.rows("UPDATE campusg.sagas SET definition_version = 9")
    brokerless.on_events(*[answer(command) for command in brokerless.world.pending_of(placed)])
    brokerless.world.rows("UPDATE campusg.sagas SET definition_version = 1")

    done = run(dead_letters.redrive, ERROR="UnknownDefinition")

    assert (done.code, done.out[-1]) == (0, "5 of 5 dead letters were taken, 0 refused")


def test_of_more_than_fit_the_table_says_that_there_are_more(brokerless: Service, run: Run) -> None:
    brokerless.on_events(*[Record("user-events", None, b"{", ()) for _ in range(dead_letters.MOST_SHOWN + 1)])

    listed = run(dead_letters.dead_letters)

    assert (len(listed.out), listed.out[-1][:10]) == (dead_letters.MOST_SHOWN + 2, "… and more")


def test_a_letter_is_dismissed_and_then_shown_only_when_asked_for(brokerless: Service, run: Run) -> None:
    placed = unknown_definition(brokerless)
    letter = letter_of(brokerless, placed)

    done = run(dead_letters.dismiss, ID=letter, REASON="settled by hand")

    assert done.code == 0
    assert done.out[0].startswith(f"{letter} user.customer_validated at user-events/0/")
    assert done.out[0].endswith(" by admin:ops_1: settled by hand")
    assert run(dead_letters.dismiss, ID=letter, REASON="once more").out == done.out
    assert run(dead_letters.dead_letters).out == ["no dead letters"]
    assert ", dismissed 20" in run(dead_letters.dead_letters, ALL="1").out[1]
    assert run(dead_letters.redrive, ERROR="UnknownDefinition").out == ["no dead letter waits with UnknownDefinition"]
    refused = run(dead_letters.redrive, ID=letter)
    assert (refused.code, refused.err) == (1, "make redrive: the dead letter was dismissed\n")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "make dismiss: name one dead letter and a reason; for example: make dismiss ID="),
        ({"ID": UNKNOWN}, "make dismiss: name one dead letter and a reason"),
        ({"REASON": "x"}, "make dismiss: name one dead letter and a reason"),
        ({"ID": "7", "REASON": "x"}, "make dismiss: ID must be a UUID, not '7'; for example: make dismiss"),
        ({"ID": UNKNOWN, "REASON": "x"}, "make dismiss: there is no such dead letter\n"),
        ({"ID": UNKNOWN, "REASON": "x" * 256}, "make dismiss: these fields are not valid: /reason\n"),
    ],
)
def test_a_dismissal_that_is_wrong_is_told_in_a_sentence(run: Run, variables: dict[str, str], said: str) -> None:
    ended = run(dead_letters.dismiss, **variables)
    assert (ended.code, ended.out) == (1, [])
    assert ended.err.startswith(said), ended.err


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "make redrive: name one dead letter or one error class; for example: make redrive ID="),
        ({"ID": UNKNOWN, "ERROR": "Misfit"}, "make redrive: name one dead letter or one error class"),
        ({"ID": "7"}, "make redrive: ID must be a UUID, not '7'; for example"),
        ({"ID": UNKNOWN}, "make redrive: there is no such dead letter\n"),
        ({"ERROR": "a b"}, "make redrive: the parameter errorClass must be the name of an error's class\n"),
        ({"ID": UNKNOWN, "TOKEN": "secret-1"}, "make redrive: http://127.0.0.1:"),
        ({"ID": UNKNOWN, "TOKEN": "secret\n1"}, "make redrive: TOKEN is no JWT\n"),
        ({"ID": UNKNOWN, "TOKEN": ""}, "make redrive: API_URL needs a TOKEN beside it, a JWT of an admin\n"),
        ({"ID": UNKNOWN, "API_URL": "127.0.0.1:80"}, "make redrive: API_URL must begin with http:// or https://"),
        ({"ID": UNKNOWN, "API_URL": "http://127.0.0.1:1"}, "make redrive: http://127.0.0.1:1 can't be reached\n"),
    ],
)
def test_wrong_use_is_told_in_a_sentence_without_the_token(run: Run, variables: dict[str, str], said: str) -> None:
    ended = run(dead_letters.redrive, **variables)
    assert (ended.code, ended.out) == (1, [])
    assert ended.err.startswith(said), ended.err
    assert "secret" not in ended.err


def test_a_token_that_is_no_admins_stops_the_command(edge: Edge, brokerless: Service, run: Run) -> None:
    unknown_definition(brokerless)
    runner = devkeys.token(edge.keys, ["runner"], "run_1", datetime.now(UTC))
    for do in (dead_letters.dead_letters, dead_letters.redrive):
        ended = run(do, ERROR="UnknownDefinition", TOKEN=runner)
        assert (ended.code, ended.err.split(": ")[-1]) == (1, "none of your roles may do this\n")


def test_an_api_that_limits_its_callers_is_waited_for(brokerless: Service, run: Run, monkeypatch: pytest.MonkeyPatch, edge: Edge) -> None:
    unknown_definition(brokerless)
    stop_minute(monkeypatch)
    limited = brokerless.runtime.settings.model_copy(update={"rate_limit_per_minute": 1})
    monkeypatch.setattr(brokerless.runtime, "settings", limited)
    waits: list[int] = []

    def wait(seconds: int) -> None:
        waits.append(seconds)
        brokerless.world.rows("DELETE FROM campusg.request_rates")

    monkeypatch.setattr("infra.operator.api.time.sleep", wait)

    assert run(dead_letters.redrive, ERROR="UnknownDefinition").code == 0
    assert waits == [30]


def test_without_a_stack_it_says_so(tmp_path: Path) -> None:
    ended = local_command("redrive", tmp_path / "none", ID=UNKNOWN, API_URL="", TOKEN="")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"make redrive: no stack runs on {tmp_path / 'none'}")
    with pytest.raises(NotRunningError):
        operator_api.operator_api({"DATA_DIR": str(tmp_path / "none")})


def test_replacing_a_saga_reads_as_a_diff_of_whole_documents() -> None:
    saga = {"what": "saga", "id": "s-1", "pointer": "", "from": None, "to": {"name": "cancel_order"}}

    assert list(dead_letters.diff([saga])) == ["  saga s-1", '  +  {"name": "cancel_order"}']
