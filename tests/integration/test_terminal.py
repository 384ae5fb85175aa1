"""Whatever partners, customers and operators write, no command's output steers a terminal or forges a line of its own."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from chalicelib.ids import new_id, new_id_source
from chalicelib.messages.envelope import Incoming
from chalicelib.messaging.decode import receive
from chalicelib.operations.take_replies import Delivery, take_replies
from infra.commands import run_command
from infra.console import say, visible
from infra.deploy.__main__ import COMMANDS as DEPLOY_COMMANDS
from infra.operator import audit, dead_letters, top, why
from infra.operator.__main__ import COMMANDS as OPERATOR_COMMANDS
from infra.partners import requests
from infra.partners.store import Store
from infra.stack import demo, devkeys, waterfall
from infra.stack.__main__ import COMMANDS as STACK_COMMANDS
from infra.stack.stories import LIFE, Api, StoryError
from infra.stack.timeline import timeline
from tests.integration.conftest import Service
from tests.support.edge import NEW_ORDER, OWNER, Caller, Edge, InProcess
from tests.support.fates import Fates
from tests.support.kafka_records import OFFSETS, Record, answer, refusal
from tests.support.partner_script import Partners
from tests.support.steering import NASTY

TWISTED = ("paymentId", "escrowId", "paymentMethodId", "payoutAccountId", "reason")
# As it looks where it went through the door, within JSON or not.
SHOWN, SHOWN_IN_JSON = visible(NASTY), visible(json.dumps(NASTY, ensure_ascii=False)[1:-1])
Run = Callable[..., str]
COMMANDS = {**STACK_COMMANDS, **OPERATOR_COMMANDS, **DEPLOY_COMMANDS}


def twisted(value: bytes) -> bytes:
    """A reply with something nasty in every text that a partner makes up."""
    data = {name: text + NASTY if name in TWISTED and text else text for name, text in json.loads(value).items()}
    return json.dumps(data, ensure_ascii=False).encode()


class Nasty(Fates):
    """Customers and partners who put something nasty into every field that takes it."""

    def place(self, customer: str = "cust_1") -> UUID:
        details: Mapping[str, Any] = NEW_ORDER["orderDetails"]
        items = [{**item, "name": f"x{NASTY}x"} for item in details["foodItems"]]
        places = {name: f"x{NASTY}x" for name in ("storeLocation", "deliveryLocation")}
        body = {"orderDetails": {**details, **places, "foodItems": items}}
        return UUID(self.http.post("/api/orders", Caller.customer(customer), body).json()["order"]["orderId"])

    def settle(self) -> None:
        world = self.service.world
        nasty = json.dumps(NASTY, ensure_ascii=False)[1:-1].encode()
        while sent := world.outbox():
            world.forget_outbox()
            asked = [Incoming(each.topic, 0, 0, each.key, (each.value or b"").replace(nasty, b""), each.headers) for each in sent]
            commands = [requests.read(each) for each in asked if each.topic.endswith("-commands")]
            for reply in self.store.work(commands, datetime.now(UTC), lambda: str(uuid4())).replies:
                headers = (*(each for each in reply.headers if each[0] != "ce_correlationid"), ("ce_correlationid", NASTY.encode()))
                record = Incoming(reply.topic, 0, next(OFFSETS), reply.key, twisted(reply.value or b"{}"), headers)
                with world.engine.begin() as session:
                    taken = take_replies(session, world.rules, [Delivery(receive(record), new_id_source(), new_id())])
                assert not taken.failed
                assert not taken.letters


@dataclass(frozen=True)
class Stage:
    """A service with its nasty people, and its API at an address."""

    service: Service
    fates: Nasty
    edge: Edge
    run: Run


@pytest.fixture
def stage(
    edge: Edge, brokerless: Service, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Stage]:
    store = Store.open(database_url)
    given = {
        "DATABASE_URL": database_url,
        "DATA_DIR": str(tmp_path),
        "API_URL": f"http://127.0.0.1:{edge.port}",
        "TOKEN": devkeys.token(edge.keys, ["admin"], "ops_1", datetime.now(UTC)),
    }

    def run(command: Callable[[], int], **variables: str) -> str:
        """What the command printed, each line of which can be drawn as it is."""
        for name in ("ID", "REASON", "ERROR", "ORDER", "SAGA", "ALL", "DRY", "ONCE", "COLUMNS", *given):
            monkeypatch.setenv(name, {**given, **variables}.get(name, ""))
        capsys.readouterr()
        command()
        return harmless(*capsys.readouterr())

    yield Stage(brokerless, Nasty(brokerless, InProcess(brokerless.app.app, tmp_path), store), edge, run)
    store.close()
    # Rows are broken on purpose here.
    brokerless.world.rows("DROP SCHEMA partners CASCADE")


def harmless(out: str, err: str) -> str:
    """What a command said, without the log lines of the service in this process."""
    lines = [line for line in (out + err).split("\n") if not line.startswith('{"level"')]
    assert [line for line in lines if line != visible(line)] == []
    assert [line for line in lines if line.startswith("no violations\\x9b")] == []
    return "\n".join(lines)


def why_of(stage: Stage, order_id: UUID) -> list[str]:
    """The screens of all sagas of an order."""
    sagas = stage.service.world.rows("SELECT saga_id FROM campusg.sagas WHERE order_id = :id ORDER BY saga_id", id=order_id)
    return [stage.run(why.why, SAGA=str(row["saga_id"])) for row in sagas]


@pytest.mark.breaks_invariants("the partners' ids are twisted between their books and ours")
def test_ids_of_partners_on_the_screen_of_each_saga(stage: Stage) -> None:
    order_id = stage.fates.completed(stage.fates.delivered(stage.fates.accepted()))

    creation, acceptance, completion = why_of(stage, order_id)

    for screen in (creation, acceptance, completion):
        assert screen.count(SHOWN) >= 2, "payment and escrow"
    assert SHOWN_IN_JSON in creation, "the payment method"
    assert SHOWN_IN_JSON in completion, "the payout account"


@pytest.mark.breaks_invariants("the partners' ids are twisted between their books and ours")
def test_reasons_of_partners_and_customers(stage: Stage) -> None:
    declined, refused, cancelled = stage.fates.opened("declined_1"), stage.fates.opened("noescrow_1"), stage.fates.opened()
    stage.fates.http.post(f"/api/orders/{cancelled}/cancel", OWNER, {"reason": f"x{NASTY}x"})
    stage.fates.settle()
    running = stage.fates.place()
    stage.fates.http.post(f"/api/orders/{running}/cancel", OWNER, {"reason": f"x{NASTY}x"})

    for order_id in (declined, refused, cancelled, running):
        assert any(SHOWN in screen or SHOWN_IN_JSON in screen for screen in why_of(stage, order_id)), order_id


@pytest.mark.breaks_invariants("the partners' ids are twisted between their books and ours, and rows are broken")
def test_a_suspended_saga_and_violations_in_the_audit(stage: Stage) -> None:
    suspended = stage.fates.refused_payout(stage.fates.delivered(stage.fates.accepted()))
    wrong = stage.fates.completed(stage.fates.delivered(stage.fates.accepted()))
    statement = "UPDATE campusg.orders SET runner_id = :nasty, payment_id = :nasty, escrow_id = :nasty WHERE order_id = :id"
    stage.service.world.rows(statement, id=wrong, nasty=NASTY)

    said = stage.run(audit.audit)

    [line] = [line for line in said.split("\n") if str(suspended) in line and "release_escrow was refused" in line]
    assert SHOWN in line
    assert sum(SHOWN in line for line in said.split("\n") if str(wrong) in line) >= 2
    assert SHOWN in why_of(stage, suspended)[-1].split("\n")[1]


@pytest.mark.breaks_invariants("the order's sagas are made to wait for a newer release")
def test_dead_letters_in_lists_diffs_refusals_and_on_the_screen(stage: Stage) -> None:
    world = stage.service.world
    placed = world.place()
    headers = tuple((name, NASTY.encode()) for name in ("ce_type", "ce_id", "ce_correlationid", f"x{NASTY}"))
    stage.service.on_events(Record("user-events", NASTY.encode(), NASTY.encode(), headers))
    stage.service.on_events(Record("user-events", str(placed.order_id).encode(), NASTY.encode(), (*headers, ("ce_sagaid", NASTY.encode()))))
    stage.service.on_events(answer(world.pending(placed), paymentMethodId=NASTY).having(ce_sagaid=str(uuid4())))
    world.rows("UPDATE campusg.sagas SET definition_version = 9")
    stage.service.on_events(answer(world.pending(placed), paymentMethodId=NASTY))
    world.rows("UPDATE campusg.sagas SET definition_version = 1")
    *_, first = ids = [str(row["dead_letter_id"]) for row in world.rows("SELECT dead_letter_id FROM campusg.dead_letters ORDER BY 1 DESC")]

    listed = stage.run(dead_letters.dead_letters, ALL="1")
    assert (len(ids), listed.count(f"  {SHOWN}, ")) == (4, 2)
    assert SHOWN in stage.run(dead_letters.redrive, ERROR="Unintelligible")
    assert "payment.authorize" in stage.run(dead_letters.redrive, ERROR="UnknownDefinition", DRY="1")
    assert SHOWN in stage.run(dead_letters.dismiss, ID=first, REASON=f"x{NASTY}x")
    of_order = [row["dead_letter_id"] for row in world.rows("SELECT * FROM campusg.dead_letters WHERE order_id = :id", id=placed.order_id)]
    stage.run(dead_letters.dismiss, ID=str(min(of_order)), REASON=f"x{NASTY}x")
    [screen] = why_of(stage, placed.order_id)
    assert f": x{SHOWN}x" in screen
    assert f" {SHOWN} at user-events" in screen


def test_a_redrives_diff_shows_ids_of_partners_and_reasons(stage: Stage) -> None:
    world = stage.service.world
    placed = world.place()
    world.rows("UPDATE campusg.sagas SET definition_version = 9")
    stage.service.on_events(refusal(world.pending(placed), reason=NASTY))
    world.rows("UPDATE campusg.sagas SET definition_version = 1")

    assert SHOWN_IN_JSON in stage.run(dead_letters.redrive, ERROR="UnknownDefinition", DRY="1")


def test_the_board(stage: Stage) -> None:
    stage.service.on_events(Record("user-events", None, NASTY.encode(), (("ce_sagaid", NASTY.encode()),)))
    stage.service.world.rows("UPDATE campusg.dead_letters SET error_class = :nasty", nasty=NASTY)

    said = stage.run(top.top, ONCE="1", COLUMNS="400")

    assert f"1 wait: {SHOWN} 1" in said


@pytest.mark.breaks_invariants("the partners' ids are twisted between their books and ours")
def test_the_correlation_of_what_a_partner_began(stage: Stage) -> None:
    order_id = stage.fates.opened()
    [order] = stage.service.world.rows("SELECT payment_id FROM campusg.orders WHERE order_id = :id", id=order_id)
    stage.service.on_events(Partners().expire(order_id, order["payment_id"]).having(ce_correlationid=NASTY, ce_source=NASTY))

    assert f"correlation {SHOWN}" in why_of(stage, order_id)[-1]


def test_the_demo(stage: Stage, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def nothing(api: Api) -> str:
        raise StoryError(f"answered 500 and not 200: {NASTY}")

    capsys.readouterr()
    demo._tell(Api(f"http://127.0.0.1:{stage.edge.port}", tmp_path, float("inf")), replace(LIFE, tell=nothing), None)
    entry = {"version": 1, "at": "2026-11-22T10:00:00Z", "to": NASTY, "paymentTo": NASTY, "actor": NASTY}
    step = {"name": NASTY, "status": NASTY, "startedAt": entry["at"], "endedAt": entry["at"], "attempts": 2}
    saga = {"name": NASTY, "status": NASTY, "startedAt": entry["at"], "endedAt": entry["at"], "steps": [step], "error": {"code": NASTY}}
    say(*timeline([entry], [saga]))
    now = datetime.now(UTC)
    later = now + timedelta(seconds=1)
    asked = waterfall.Request("POST", NASTY, "201", now, later)
    exchange = waterfall.Exchange(NASTY, NASTY, later)
    say(*waterfall.picture(waterfall.Run("create_order", now, later, [now], [exchange], asked)))

    assert harmless(*capsys.readouterr()).count("\\x1b]0;owned") >= 8


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"demo"}))
def test_what_an_operator_gives_a_command(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Also by mistake: pasted from somewhere, a name may hold anything."""
    nasty = f"{NASTY}\ud83d"
    names = ("HTTP_PORT", "PARTNERS", "API_URL", "TOKEN", "ID", "SAGA", "ROLE", "SUB", "DATABASE_URL", "REASON", "STAGE")
    for name in (*names, "ORDER", "ERROR"):
        monkeypatch.setenv(name, nasty.replace("\ud83d", "\udc9f") if name in names else "")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / NASTY))
    # Without Java there is no Apache Kafka to be started.
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["infra", command])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    run_command("infra", COMMANDS)

    assert harmless(*capsys.readouterr()) != ""
