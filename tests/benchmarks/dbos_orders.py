"""The same order as a workflow of DBOS: five steps, each a local function. Run by the interpreter of `make bench-peers`, which has no more.

    python dbos_orders.py URL NAME throughput SECONDS THREADS
    python dbos_orders.py URL NAME latency NUMBER PAUSE

Says `ready`, waits for a line, works, and says what it measured as a line of JSON.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from dbos import DBOS

ORDER = {
    "customer": "cust_1",
    "amount": "12.99",
    "foodItems": [{"name": "Chicken rice", "price": "4.50", "quantity": 2}],
    "storeLocation": "Koufu",
    "deliveryLocation": "Hall 5, room 210",
}
CONNECTIONS = 12


def _answer(type: str, order: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": type, "amount": order["amount"], "id": "0192f0c4-5a3e-7c11-9d20-3b1f6a0c2e11"}


@DBOS.step()
def validate_customer(order: dict[str, Any]) -> dict[str, Any]:
    return _answer("user.customer_validated", order)


@DBOS.step()
def authorize_payment(order: dict[str, Any]) -> dict[str, Any]:
    return _answer("payment.authorized", order)


@DBOS.step()
def hold_escrow(order: dict[str, Any]) -> dict[str, Any]:
    return _answer("escrow.held", order)


@DBOS.step()
def open_order(order: dict[str, Any]) -> dict[str, Any]:
    return _answer("order.opened", order)


@DBOS.step()
def notify_customer(order: dict[str, Any]) -> dict[str, Any]:
    return _answer("notification.sent", order)


@DBOS.workflow()
def create_order(order: dict[str, Any]) -> dict[str, Any]:
    """A saga of ours, without a partner to call, a message to send or anything to undo."""
    for step in (validate_customer, authorize_payment, hold_escrow, open_order):
        step(order)
    return notify_customer(order)


def throughput(seconds: float, threads: int) -> Mapping[str, float]:
    """Orders by so many threads for so long, one after the other in each."""
    done, ending, cpu = [0] * threads, time.perf_counter() + seconds, time.process_time()
    begun = time.perf_counter()

    def work(number: int) -> None:
        while time.perf_counter() < ending:
            create_order(ORDER)
            done[number] += 1

    working = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in working:
        thread.start()
    for thread in working:
        thread.join()
    return {"orders": sum(done), "seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - cpu}


def latency(number: int, pause: float) -> Mapping[str, float]:
    """Milliseconds of orders one after the other, with pauses."""
    taken = []
    for _ in range(number):
        begun = time.perf_counter()
        DBOS.start_workflow(create_order, ORDER).get_result()
        taken.append((time.perf_counter() - begun) * 1000)
        time.sleep(pause)
    taken.sort()
    return {"p50_ms": taken[number // 2], "p99_ms": taken[int(number * 0.99)]}


def main() -> None:
    """Connect, and work when told to."""
    url, name, measure, first, second = sys.argv[1:]
    DBOS(
        config={
            "name": "orders",
            "system_database_url": url,
            "executor_id": name,
            "application_version": "1",
            "sys_db_pool_size": CONNECTIONS,
            "max_executor_threads": CONNECTIONS,
            "log_level": "ERROR",
            "console_log_level": "ERROR",
        }
    )
    DBOS.launch()
    create_order(ORDER)
    print("ready", flush=True)  # noqa: T201 - whoever started this reads it
    sys.stdin.readline()
    figures = throughput(float(first), int(second)) if measure == "throughput" else latency(int(first), float(second))
    print(json.dumps(figures), flush=True)  # noqa: T201
    # Its threads are of no more use.
    os._exit(0)


if __name__ == "__main__":
    main()
