"""Every status that the published document promises is reached, and no other is ever seen."""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any
from uuid import UUID

import pytest

from chalicelib.db.connection import Database, make_engine
from chalicelib.entrypoints.http import BODY_LIMIT
from chalicelib.messaging.producer import Producer
from infra.stack.ports import free_port
from tests.integration.conftest import Service
from tests.support.answers import Answer
from tests.support.database import World
from tests.support.edge import ADMIN, NEW_ORDER, ORDERS, OTHER_RUNNER, OWNER, RUNNER, Caller, Edge, partners_at_work
from tests.support.interleaving import Move, cancel, complete, falls_silent, give_back
from tests.support.kafka_records import answer
from tests.support.scene import Scene, Stage
from tests.support.servers import KafkaBroker

NOBODY_KNOWS = UUID(int=1)
ALL = Caller("all_1", ("customer", "runner", "admin"))


class Watched(Edge):
    """An edge that remembers which operations were answered by which status."""

    def __init__(self, edge: Edge) -> None:
        super().__init__(edge.port, edge.keys)
        self.operations: Mapping[str, Any] = edge.get("/openapi.json").json()["paths"]
        self.seen: set[tuple[str, int]] = set()

    def call(self, method: str, path: str, caller: Caller | None = None, body: Any = None, **headers: str | list[str]) -> Answer:
        answer = super().call(method, path, caller, body, **headers)
        self.seen.add((self.operation(method, path.partition("?")[0]), answer.status))
        return answer

    def operation(self, method: str, path: str) -> str:
        [name] = [
            f"{method} {template}"
            for template, methods in self.operations.items()
            if method.lower() in methods and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
        ]
        return name


@pytest.fixture
def edge(edge: Edge) -> Watched:
    return Watched(edge)


def documented(edge: Watched) -> set[tuple[str, int]]:
    return {
        (f"{method.upper()} {path}", int(status))
        for path, methods in edge.operations.items()
        for method, operation in methods.items()
        for status in operation["responses"]
    }


@contextmanager
def changed(runtime: Any, **attributes: Any) -> Iterator[None]:
    before = {name: getattr(runtime, name) for name in attributes}
    vars(runtime).update(attributes)
    try:
        yield
    finally:
        vars(runtime).update(before)


# What a path needs besides.
QUERIES = {"/api/search": "?q=cust_1"}


def guarded(edge: Watched) -> list[tuple[str, str, Any]]:
    """Method, path with what it needs and whether it takes a body, of each operation that needs a token; ids are of what isn't there."""
    return [
        (method.upper(), re.sub(r"\{\w+\}", str(NOBODY_KNOWS), path) + QUERIES.get(path, ""), "requestBody" in operation)
        for path, methods in edge.operations.items()
        for method, operation in methods.items()
        if operation.get("security")
    ]


BODIES = {
    f"{ORDERS}/{NOBODY_KNOWS}/accept": {"runnerId": ALL.sub},
    f"{ORDERS}/{NOBODY_KNOWS}/status": {"status": "COLLECTED"},
    f"/api/dead-letters/{NOBODY_KNOWS}/dismiss": {"reason": "none of ours"},
    ORDERS: NEW_ORDER,
}


def what_happens_on_every_route(edge: Watched, service: Service) -> None:
    away = Database(make_engine(f"postgresql+pg8000://u:p@127.0.0.1:{free_port()}/d", pool_size=1))
    limit = service.runtime.settings.model_copy(update={"rate_limit_per_minute": 1})
    for method, path, has_body in guarded(edge):
        body = BODIES.get(path, {}) if has_body else None
        edge.call(method, path, None, body)
        edge.call(method, path, Caller("cust_1"), body)
        edge.call(method, path, ALL, body)
        with changed(service.runtime, database=away):
            edge.call(method, path, ALL, body)
        with changed(service.runtime, settings=limit):
            edge.call(method, path, Caller("busy", ALL.roles), body)
            edge.call(method, path, Caller("busy", ALL.roles), body)
        if has_body:
            edge.call(method, path, ALL, b"{")
            edge.call(method, path, ALL, b" " * (BODY_LIMIT + 1))
            edge.call(method, path, ALL, b"{}", Content_Type="text/plain")
            edge.call(method, path, ALL, {"unheard": "of"})
        elif "{" not in path and not path.endswith(str(NOBODY_KNOWS)):
            edge.get(f"{path.partition('?')[0]}?unheard=of", ALL)


def what_becomes_of_new_orders(edge: Watched, world: World) -> None:
    for refused in ("none", "user.validate_customer", "payment.authorize", "escrow.hold"):
        with partners_at_work(world, unwilling=lambda sent, refused=refused: sent.type == refused):
            edge.place(Prefer="wait=10")
    edge.place(Idempotency_Key="k")
    world.rows("UPDATE campusg.idempotency_keys SET in_flight_until = clock_timestamp() + interval '9 seconds'")
    edge.place(Idempotency_Key="k").problem(409, "in-flight")


def what_becomes_of_an_order(edge: Watched, stage: Stage) -> None:
    scene = stage.scene("READY_FOR_PICKUP", pool=2)
    path = f"{ORDERS}/{scene.order_id}"
    tag = edge.get(path, OWNER).headers["ETag"]
    edge.get(path, OWNER, If_None_Match=tag)
    edge.get(f"{path}/history", OWNER)
    edge.get(f"{path}/timeline", OWNER)
    edge.get(f"{path}/timeline", OWNER, If_None_Match="*")
    for request in ("accept", "cancel-acceptance", "cancel", "complete"):
        edge.post(f"{path}/{request}", ADMIN, {"runnerId": RUNNER.sub} if request == "accept" else None, If_Match='"1"')
    edge.post(f"{path}/accept", RUNNER, {"runnerId": RUNNER.sub})
    edge.post(f"{path}/accept", OTHER_RUNNER, {"runnerId": OTHER_RUNNER.sub})
    scene.settle()
    edge.post(f"{path}/accept", RUNNER, {"runnerId": RUNNER.sub})
    edge.post(f"{path}/complete", OWNER)
    edge.call("PATCH", f"{path}/status", RUNNER, {"status": "DELIVERED"})
    edge.call("PATCH", f"{path}/status", RUNNER, {"status": "COLLECTED"}, If_Match=tag)
    for status in ("COLLECTED", "ON_THE_WAY", "DELIVERED"):
        edge.call("PATCH", f"{path}/status", RUNNER, {"status": status})
    edge.post(f"{path}/cancel-acceptance", RUNNER)
    edge.post(f"{path}/cancel", OWNER)
    edge.post(f"{path}/complete", OWNER)
    scene.settle()
    edge.post(f"{path}/complete", OWNER)


def what_becomes_of_an_acceptance(edge: Watched, stage: Stage) -> None:
    refused = stage.scene("READY_FOR_PICKUP", pool=2)
    with partners_at_work(stage.world, unwilling=lambda sent: sent.type == "escrow.assign_runner"):
        edge.post(f"{ORDERS}/{refused.order_id}/accept", RUNNER, {"runnerId": RUNNER.sub}, Prefer="wait=10")
    for request in ("cancel-acceptance", "cancel"):
        scene = stage.scene("ACCEPTED", pool=1)
        caller = RUNNER if request == "cancel-acceptance" else OWNER
        edge.post(f"{ORDERS}/{scene.order_id}/{request}", caller)
        scene.settle()
        edge.post(f"{ORDERS}/{scene.order_id}/{request}", caller)


SUSPENDED: dict[str, tuple[str, Move]] = {
    "cancel-acceptance": ("ACCEPTED", give_back()),
    "cancel": ("ACCEPTED", cancel()),
    "complete": ("DELIVERED", complete()),
}


def what_is_answered_of_suspended_sagas(edge: Watched, stage: Stage) -> None:
    for request, (status, move) in SUSPENDED.items():
        scene = stage.scene(status, pool=1)
        move(scene)
        if request == "complete":
            scene.answer_next(scene.holder["saga_id"])
        falls_silent(scene)
        edge.post(f"{ORDERS}/{scene.order_id}/{request}", ADMIN, Prefer="wait=0")
        operate(edge, scene)


def operate(edge: Watched, scene: Scene) -> None:
    """An operator sends the silent command again, and then can't."""
    path = f"/api/sagas/{scene.holder['saga_id']}"
    assert edge.get(path, ADMIN).json()["status"] == "FAILED"
    for action in ("compensate", "retry"):
        edge.post(f"{path}/{action}", ADMIN, If_Match='"1"')
    edge.post(f"{path}/retry", ADMIN, {"dryRun": True})
    for action in ("compensate", "retry", "retry"):
        edge.post(f"{path}/{action}", ADMIN)


def what_operators_compensate(edge: Watched, stage: Stage) -> None:
    scene = stage.scene("NEW", pool=1)
    edge.post(f"/api/sagas/{scene.saga_id}/compensate", ADMIN, {"dryRun": True})
    edge.post(f"/api/sagas/{scene.saga_id}/compensate", ADMIN)
    edge.get("/api/sagas", ADMIN)
    edge.get(f"/api/sagas/{scene.saga_id}/explanation", ADMIN)
    edge.get(f"/api/sagas/{scene.saga_id}/explanation", ADMIN, If_None_Match="*")
    edge.get(ORDERS, OWNER)


def what_becomes_of_a_dead_letter(edge: Watched, service: Service) -> None:
    world = service.world
    placed = world.place()
    world.rows("UPDATE campusg.sagas SET definition_version = 9 WHERE saga_id = :id", id=placed.saga_id)
    service.on_events(answer(world.pending(placed)))
    [item] = edge.get("/api/dead-letters", ADMIN).json()["items"]
    path = f"/api/dead-letters/{item['deadLetterId']}"
    edge.get(path, ADMIN)
    edge.post(f"{path}/redrive", ADMIN)
    edge.post(f"{path}/redrive", ADMIN, If_Match='"7"')
    world.rows("UPDATE campusg.sagas SET definition_version = 1 WHERE saga_id = :id", id=placed.saga_id)
    edge.post(f"{path}/redrive", ADMIN, {"dryRun": True})
    edge.post(f"{path}/redrive", ADMIN)
    edge.post(f"{path}/dismiss", ADMIN, {"reason": "too late"})
    world.rows("UPDATE campusg.dead_letters SET redriven_at = NULL")
    edge.post(f"{path}/dismiss", ADMIN, {"reason": "none of ours"}, If_Match='"1000"')
    edge.post(f"{path}/dismiss", ADMIN, {"reason": "none of ours"})


def what_is_on_the_board(edge: Watched) -> None:
    edge.get("/api/board", ADMIN, If_None_Match=edge.get("/api/board", ADMIN).headers["ETag"])


def what_anybody_may_ask(edge: Watched, service: Service, kafka: KafkaBroker) -> None:
    for path in ("/health", "/health/ready", "/openapi.json", "/asyncapi.json", "/docs", "/"):
        edge.get(path)
    for path in ("/console", "/console/app.js"):
        edge.get(path, If_None_Match=edge.get(path).headers["ETag"])
    edge.get("/console/nothing.js")
    with closing(Producer(kafka.bootstrap)) as producer, changed(service.runtime, producer=producer):
        edge.get("/health/ready")


def test_what_is_documented_is_what_happens(edge: Watched, stage: Stage, brokerless: Service, kafka: KafkaBroker) -> None:
    what_happens_on_every_route(edge, brokerless)
    what_becomes_of_new_orders(edge, brokerless.world)
    what_becomes_of_an_order(edge, stage)
    what_becomes_of_an_acceptance(edge, stage)
    what_is_answered_of_suspended_sagas(edge, stage)
    what_operators_compensate(edge, stage)
    what_becomes_of_a_dead_letter(edge, brokerless)
    what_is_on_the_board(edge)
    what_anybody_may_ask(edge, brokerless, kafka)
    assert sorted(documented(edge) - edge.seen) == []
    assert sorted(edge.seen - documented(edge)) == []
