"""`make test-ground`: run every test that uses a server on the oldest and the newest servers that the service is promised to work on.

    make test-ground                        # oldest, then newest
    make test-ground ONLY=oldest            # one of them; POSTGRES_PROGRAMS=… is the folder of PostgreSQL 15's programs
    make test-ground DATABASE_URL=… KAFKA_BROKERS=…      # servers that run already: a superuser's URL, and a Kafka for these tests alone

Apache Kafka needs Java 17 and Maven. Returns 1 where a test fails or a server is missing, and 2 where what is asked for makes no sense.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from infra.console import complain, say
from infra.stack.apache_kafka import install, kafka_service, version_of
from infra.stack.broker import BrokerError
from infra.stack.postgres import wheel_programs

ROOT = Path(__file__).resolve().parents[2]
TESTS = ("tests/integration", "tests/e2e", "tests/chaos")
DEBIAN_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
OLDEST_KAFKA = "3.0.2"


class Ground(NamedTuple):
    """A PostgreSQL and a version of Apache Kafka."""

    name: str
    programs: Path
    kafka: str


class MissingError(Exception):
    """A server can't be had; the message says how to get it."""


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Run the tests on each ground; return the exit code."""
    given = {name: environment.get(name, "").strip() for name in ("DATABASE_URL", "KAFKA_BROKERS", "ONLY", "POSTGRES_PROGRAMS")}
    if given["DATABASE_URL"] or given["KAFKA_BROKERS"]:
        servers = {f"TEST_{name}": given[name] for name in ("DATABASE_URL", "KAFKA_BROKERS") if given[name]}
        return _run("the given servers", servers, processes=0)
    grounds = grounds_of(given["POSTGRES_PROGRAMS"])
    chosen = [ground for ground in grounds if given["ONLY"] in ("", ground.name)]
    if not chosen:
        complain(f"make test-ground: ONLY is one of {', '.join(ground.name for ground in grounds)}, not {given['ONLY']!r}")
        return 2
    try:
        titles = [prepared(ground) for ground in chosen]
    except (MissingError, BrokerError) as error:
        complain(*f"make test-ground: {error}".split("\n"))
        return 1
    codes = [
        _run(title, {"TEST_POSTGRES_PROGRAMS": str(ground.programs), "TEST_KAFKA_VERSION": ground.kafka}, processes=2)
        for title, ground in zip(titles, chosen, strict=True)
    ]
    return max(codes)


def grounds_of(programs: str) -> Sequence[Ground]:
    """The oldest and the newest of both, `programs` in place of Debian's folder of PostgreSQL 15."""
    oldest = Ground("oldest", Path(programs) if programs else DEBIAN_PROGRAMS, OLDEST_KAFKA)
    return oldest, Ground("newest", wheel_programs(), version_of(kafka_service({})))


def prepared(ground: Ground) -> str:
    """Fetch what the ground needs; return its versions. Raises MissingError, BrokerError."""
    postgres = ground.programs / "postgres"
    if not postgres.exists():
        raise MissingError(
            f"{postgres} is missing: on Debian `apt-get install postgresql-15`, or POSTGRES_PROGRAMS=the folder of its programs"
        )
    install(kafka_service({"KAFKA_VERSION": ground.kafka}))
    told = subprocess.run([postgres, "--version"], text=True, capture_output=True, check=True).stdout
    version = re.search(r"\d+(\.\d+)?", told)
    return f"PostgreSQL {version[0] if version else told.strip()} and Apache Kafka {ground.kafka}"


def _run(title: str, servers: Mapping[str, str], processes: int) -> int:
    say(f"The tests on {title}")
    begun = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--quiet",
        f"--numprocesses={processes}",
        "--dist=loadfile",
        "--no-loadscope-reorder",
        *TESTS,
    ]
    code = subprocess.run(command, cwd=ROOT, env={**os.environ, **servers}, check=False).returncode
    say(f"{title}: {'all passed' if code == 0 else f'pytest ended with {code}'} after {time.monotonic() - begun:.0f} s")
    return min(code, 1)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
