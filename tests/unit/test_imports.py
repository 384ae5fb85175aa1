"""What each function imports while it is initialized: all that it always needs, and nothing that only others do."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from chalicelib.entrypoints import NEEDED, SIGNING

PROJECT = Path(__file__).parents[2] / "orders_app"
IMPORT = "import json, sys; import app; import gc; print(json.dumps([gc.isenabled(), *sorted(sys.modules)]))"

DATABASE = ("sqlalchemy", "pg8000", "chalicelib.db", "chalicelib.runtime")
KAFKA = ("kafka", "chalicelib.messaging.brokers")
TOKENS = ("jwt", "cryptography", "chalicelib.entrypoints.tokens")
HTTP = ("chalicelib.entrypoints.http", "chalicelib.entrypoints.orders", "chalicelib.entrypoints.bodies")
MIGRATIONS = ("alembic", "mako", "chalicelib.entrypoints.maintenance")
CLOCK = ("chalicelib.entrypoints.schedules", "chalicelib.operations.audit")
TRIGGERS = ("chalicelib.entrypoints.kafka",)
# Lambda's own, slow to import and different from day to day.
AWS = ("boto3", "botocore.session", "botocore.auth")

ALLOWED: Mapping[str, Sequence[str]] = {
    "app": (*DATABASE, *KAFKA, *HTTP),
    "token_auth": TOKENS,
    "on_user_events": (*DATABASE, *KAFKA, *TRIGGERS),
    "on_payment_events": (*DATABASE, *KAFKA, *TRIGGERS),
    "on_escrow_events": (*DATABASE, *KAFKA, *TRIGGERS),
    "sweep_timeouts": (*DATABASE, *CLOCK),
    "relay_outbox": (*DATABASE, *CLOCK),
    "purge_expired": (*DATABASE, *CLOCK),
    "audit_invariants": (*DATABASE, *CLOCK),
    "migrate": (*DATABASE[:3], *MIGRATIONS),
}
ALL = {*DATABASE, *KAFKA, *TOKENS, *HTTP, *MIGRATIONS, *CLOCK, *TRIGGERS, *AWS}
# Functions that import the same are looked at once.
LOOKED_AT = ("app", "token_auth", "on_user_events", "sweep_timeouts", "migrate")


def imported(handler: str, **variables: str) -> list[str]:
    """The modules that are there once Lambda would call the function."""
    environment = {"PATH": os.environ["PATH"], "_HANDLER": handler, **variables}
    done = subprocess.run([sys.executable, "-c", IMPORT], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    collecting, *modules = json.loads(done.stdout)
    assert collecting, "the collector works again"
    return modules


@cache
def all_imported() -> Mapping[str, list[str]]:
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(LOOKED_AT, pool.map(lambda name: imported(f"app.{name}"), LOOKED_AT), strict=True))


def of(modules: Sequence[str], package: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for module in modules)


@pytest.mark.parametrize("function", LOOKED_AT)
def test_a_function_imports_what_it_always_needs_and_nothing_of_others(function: str) -> None:
    modules = all_imported()[function]
    assert {package for package in ALL if of(modules, package)} == set(ALLOWED[function])


def test_each_function_is_known_and_those_not_looked_at_need_what_another_does() -> None:
    assert NEEDED.keys() == ALLOWED.keys()
    assert {NEEDED[function] for function in LOOKED_AT} == set(NEEDED.values())


def test_who_signs_in_by_iam_has_what_signs_imported() -> None:
    modules = imported("app.sweep_timeouts", DATABASE_USER="campusg")
    assert set(SIGNING) <= set(modules)
    assert "boto3" not in modules
