"""`make why`: one saga on one screen, in each state that a saga can be in."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from infra.operator.why import look, screen
from infra.stack import devkeys
from tests.integration.conftest import Service
from tests.support.edge import ADMIN, Edge
from tests.support.fates import Fates, fates
from tests.support.kafka_records import answer
from tests.support.operator_command import OperatorCommand


@pytest.fixture
def told(brokerless: Service, database_url: str, tmp_path: Path) -> Iterator[Fates]:
    """Orders to be brought to any fate."""
    with fates(brokerless, database_url, tmp_path) as fate:
        yield fate


def shown(told: Fates, order_id: UUID) -> str:
    known = look(lambda path: told.http.get(path, ADMIN).json(), order_id=order_id)
    return "\n".join(screen(known, datetime.now(UTC)))


def sentence(text: str) -> str:
    return text.splitlines()[1].strip()


def section(text: str, title: str) -> list[str]:
    """The lines of one section."""
    lines = text.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith(title))
    end = next((number for number in range(begin + 1, len(lines)) if lines[number][:1] != " "), len(lines))
    return [line[14:].strip() for line in lines[begin:end]]


def test_a_saga_whose_command_is_not_yet_published_waits_for_the_broker(told: Fates) -> None:
    text = shown(told, told.place())

    assert sentence(text).startswith("waits for the broker: user.validate_customer is in the outbox for ")
    assert [line.split()[0] for line in section(text, "outbox")] == ["order-events", "user-commands"]


def test_a_running_saga_shows_what_it_awaits_and_all_that_is_known_of_it(told: Fates) -> None:
    order_id = told.opened("silent_1")
    text = shown(told, order_id)

    assert text.splitlines()[0] == f"create_order {told.saga_of(order_id)}"
    assert sentence(text).startswith("waits for payment.authorized or payment.declined from payment; copy 1 of 5 was sent ")
    assert section(text, "saga")[0] == "RUNNING at authorize_payment, version 1"
    assert section(text, "order")[0] == f"{order_id}  PENDING_PAYMENT, payment PENDING, SGD 12.99, version 2"
    assert section(text, "order")[1].startswith("held by this saga; customer silent_1, runner none;")
    assert section(text, "steps")[1].endswith("user.customer_validated")
    assert section(text, "steps")[2].split()[:3] == ["authorize_payment", "RUNNING", "1"]
    assert section(text, "pending")[0].startswith("payment.authorize ")
    assert '"amount":"12.99"' in section(text, "pending")[1]
    assert ", in " in section(text, "timer")[0]
    assert (section(text, "outbox"), section(text, "dead letters"), section(text, "error")) == (["nothing waits"], ["none"], ["none"])
    assert len(text.splitlines()) < 40


def test_dead_letters_and_other_sagas_of_its_order_are_shown(told: Fates) -> None:
    order_id = told.place()
    [command] = [each for each in told.service.world.outbox() if each.topic == "user-commands"]
    told.service.on_events(answer(command, customerId="cust_2"))
    told.settle()
    told.completed(told.delivered(told.accept(order_id, "run_1")), answered=False)

    text = shown(told, order_id)

    [letter] = section(text, "dead letters")
    assert " user.customer_validated at user-events/0/" in letter
    assert letter.endswith(": Misfit: does not fit the command, waits to be redriven or dismissed")
    assert [line.split()[1:] for line in section(text, "other sagas")] == [["accept_order", "COMPLETED"], ["create_order", "COMPLETED"]]


def test_a_saga_that_is_undone_says_why(told: Fates) -> None:
    order_id = told.cancelled(told.opened("silent_2"), "silent_2", answered=False)
    told.service.world.forget_outbox()

    text = shown(told, order_id)

    assert sentence(text).startswith("waits for payment.released from payment; copy 1 of 5 ")
    assert sentence(text).endswith("; it is being undone because cancelled by customer:silent_2")
    assert section(text, "error") == ["cancelled: cancelled by customer:silent_2"]


def test_one_that_timed_out_says_that_it_heals(told: Fates) -> None:
    order_id = told.cancelled(told.opened(), answered=False)
    told.fall_silent()

    text = shown(told, order_id)

    assert sentence(text).startswith("suspended: timed out (refund_escrow had no answer after 5 attempts): still waits for escrow.refunded")
    assert section(text, "timer") == ["not set"]


def test_one_suspended_by_refusal_says_that_an_operator_must_act(told: Fates) -> None:
    order_id = told.refused_payout(told.delivered(told.accepted()))

    text = shown(told, order_id)

    assert sentence(text).startswith("suspended: refused: an operator must retry or compensate (release_escrow was refused: ")
    assert section(text, "pending") == ["no command"]
    assert section(text, "steps")[3].endswith(", ".join(["escrow.release_failed"] * 5))


def test_sagas_that_have_ended_say_how(told: Fates) -> None:
    assert sentence(shown(told, told.opened())).startswith("ended well at 20")
    undone = shown(told, told.opened("declined_1"))
    assert sentence(undone).endswith("because authorize_payment was refused: the bank declined")
    assert section(undone, "order")[1].startswith("held by no saga;")


def api_of(edge: Edge, *roles: str) -> dict[str, str]:
    """The variables by which a command finds the API, as an admin if no roles are named."""
    token = devkeys.token(edge.keys, roles or ["admin"], "ops_1", datetime.now(UTC))
    return {"API_URL": f"http://127.0.0.1:{edge.port}", "TOKEN": token}


def of_command(screen: str) -> str:
    """What a command printed, without the log lines of the service in this process."""
    return "\n".join(line for line in screen.splitlines() if not line.startswith("{"))


def test_the_command_finds_a_saga_by_its_own_id_and_by_its_order(told: Fates, edge: Edge, operator_command: OperatorCommand) -> None:
    order_id = told.opened()
    saga_id = told.saga_of(order_id)

    by_saga, by_order = (operator_command("why", **api_of(edge), **{name: id}) for name, id in (("SAGA", saga_id), ("ORDER", order_id)))

    assert (by_saga.returncode, by_order.returncode) == (0, 0)
    assert of_command(by_saga.stdout).splitlines()[0] == f"create_order {saga_id}"
    assert of_command(by_saga.stdout) == of_command(by_order.stdout)


def test_an_older_saga_is_shown_beside_newer_ones(told: Fates, edge: Edge, operator_command: OperatorCommand) -> None:
    order_id = told.opened()
    first = told.saga_of(order_id)
    told.accept(order_id, "run_1")

    asked = operator_command("why", **api_of(edge), SAGA=first)

    text = of_command(asked.stdout)
    assert text.splitlines()[0] == f"create_order {first}"
    assert [line.split()[1:] for line in section(text, "other sagas")] == [["accept_order", "COMPLETED"]]


def test_what_is_not_there_is_said_in_a_sentence(told: Fates, edge: Edge, tmp_path: Path, operator_command: OperatorCommand) -> None:
    unknown = str(uuid4())
    asked: list[tuple[dict[str, object], str]] = [
        ({**api_of(edge), "SAGA": unknown}, "make why: there is no such saga\n"),
        ({**api_of(edge), "ORDER": unknown}, "make why: there is no such order\n"),
        ({**api_of(edge)}, "make why: name one saga or one order; for example: make why SAGA="),
        ({**api_of(edge, "runner"), "ORDER": told.opened()}, "make why: the token is no admin's\n"),
        ({**api_of(edge, "guest"), "SAGA": unknown}, f"make why: http://127.0.0.1:{edge.port}: none of your roles may do this\n"),
        ({"SAGA": "seven"}, "make why: SAGA must be a UUID, not 'seven'"),
        ({"SAGA": unknown}, f"make why: no stack runs on {tmp_path / 'none'}"),
    ]
    for variables, said in asked:
        answered = operator_command("why", **variables)
        assert (answered.returncode, of_command(answered.stdout)) == (1, "")
        assert answered.stderr.startswith(said), answered.stderr
