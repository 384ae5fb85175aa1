"""Is the service there, and can it work."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from typing import Any

import sqlalchemy as sa
from chalice.app import Response

from chalicelib.db import readiness
from chalicelib.db.states import name_of, sql_state
from chalicelib.entrypoints.http import Request, answer
from chalicelib.errors import CampusError
from chalicelib.runtime import runtime

VERSION = "1.0.0"
SECONDS_A_DEPENDENCY = 2.0


def alive(_request: Request) -> Response:
    """GET /health: this code runs."""
    return answer(200, {"status": "ok", "version": VERSION})


def ready(_request: Request) -> Response:
    """GET /health/ready: PostgreSQL takes a write and Kafka answers, each within two seconds; 503 with the same body where one doesn't."""
    checks: dict[str, Callable[[], None]] = {"database": _database, "kafka": _kafka}
    pool = ThreadPoolExecutor(max_workers=len(checks))
    begun = {name: pool.submit(_timed, check) for name, check in checks.items()}
    deadline = time.monotonic() + SECONDS_A_DEPENDENCY
    dependencies: dict[str, dict[str, Any]] = {}
    for name, future in begun.items():
        try:
            dependencies[name] = future.result(timeout=max(0.0, deadline - time.monotonic()))
        except TookTooLong:
            dependencies[name] = {"status": "unavailable", "detail": f"no answer within {SECONDS_A_DEPENDENCY:g} s"}
    pool.shutdown(wait=False)
    well = all(each["status"] == "ok" for each in dependencies.values())
    return answer(200 if well else 503, {"status": "ok" if well else "unavailable", "dependencies": dependencies})


def _timed(check: Callable[[], None]) -> dict[str, Any]:
    begun = time.monotonic()
    try:
        check()
    except (CampusError, OSError, sa.exc.SQLAlchemyError) as error:
        return {"status": "unavailable", "detail": _detail(error)}
    return {"status": "ok", "milliseconds": round((time.monotonic() - begun) * 1000, 1)}


def _detail(error: Exception) -> str:
    """What anybody may see of it."""
    if isinstance(error, CampusError):
        return str(error)
    code = sql_state(error) if isinstance(error, sa.exc.DBAPIError) else None
    return f"it takes no writes: SQLSTATE {code} ({name_of(error)})" if code else "it does not answer"


def _database() -> None:
    with runtime().database.transaction() as session:
        readiness.write(session)


def _kafka() -> None:
    runtime().producer.check(SECONDS_A_DEPENDENCY)
