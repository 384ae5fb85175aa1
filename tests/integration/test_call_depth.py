"""How many files an order passes on its way down, from its handler in app.py to the plan and to the outbox."""

import sys

from tests.integration.conftest import Service
from tests.support.call_paths import CallPaths, watched
from tests.support.edge import NEW_ORDER, OWNER, InProcess
from tests.support.kafka_records import answer

PLAN = ("chalicelib/sagas/planner.py", "plan")
OUTBOX = ("chalicelib/messaging/outbox.py", "insert")
MOST_FILES = 5


def shown(title: str, paths: CallPaths) -> None:
    for target in (PLAN, OUTBOX):
        files = paths.files(target)
        sys.stdout.write(f"{title} to {target[1]}: {len(files)} files: {' > '.join(files)}\n")


def test_an_order_placed_over_http_passes_few_files(brokerless: Service, offline: InProcess) -> None:
    with watched(PLAN, OUTBOX) as paths:
        answered = offline.post("/api/orders", OWNER, NEW_ORDER)
    assert answered.status == 202
    shown("HTTP", paths)
    assert max(len(paths.files(target)) for target in (PLAN, OUTBOX)) <= MOST_FILES


def test_a_reply_from_kafka_passes_few_files(brokerless: Service) -> None:
    (placed,) = brokerless.world.place_many(1)
    (command,) = brokerless.world.pending_of([placed])
    with watched(PLAN, OUTBOX) as paths:
        assert brokerless.on_events(answer(command)) == {"batchItemFailures": []}
    shown("Kafka", paths)
    assert max(len(paths.files(target)) for target in (PLAN, OUTBOX)) <= MOST_FILES
