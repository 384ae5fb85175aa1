"""How the database is reached: where it is, whom its certificate must convince, and as whom the service signs in.

No password need be kept anywhere: RDS and RDS Proxy take a token that the function's role signs, good for fifteen minutes and made for
each connection. It is a query signed by SigV4 like any other (boto3's `generate_db_auth_token` makes the same), and needs no client of RDS,
whose making would cost a cold start a sixth of a second.
"""

import json
import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Protocol

import sqlalchemy as sa
from pg8000.exceptions import DatabaseError, InterfaceError

from chalicelib.db.connection import make_engine, verified_tls
from chalicelib.settings import DatabaseSettings

TOKEN_SECONDS = 900
SECRET_KEPT_SECONDS = 300
SECRET_SECONDS = 3
# A refusal has the secret read again, but not for each of many connections that are refused at once.
SECRET_SETTLED_SECONDS = 5
# Classes of SQLSTATEs for a login that is refused.
REFUSED = "28"


class Login(Protocol):
    """As whom to connect."""

    def arguments(self) -> Mapping[str, Any]:
        """What the driver is to connect with, over what the URL says. Raises ConnectionError where that can't be had."""

    def renew(self) -> bool:
        """Called when a login was refused: whether another one may be taken."""


class TokenLogin:
    """A user that signs in by IAM."""

    def __init__(self, host: str, port: int, user: str, region: str) -> None:
        self._host, self._port, self._user, self._region = host, port, user, region
        # Kept, as finding out where credentials come from takes longer than signing; it renews them by itself.
        self._session: Any = None

    def arguments(self) -> Mapping[str, Any]:
        return {"user": self._user, "password": self._token()}

    def renew(self) -> bool:
        return False

    def _token(self) -> str:
        from botocore.auth import SigV4QueryAuth
        from botocore.awsrequest import AWSRequest
        from botocore.session import get_session

        request = AWSRequest("GET", f"https://{self._host}:{self._port}/", params={"Action": "connect", "DBUser": self._user})
        self._session = self._session or get_session()
        credentials = self._session.get_credentials()
        if credentials is None:
            raise ConnectionError("there are no credentials of AWS to sign a token for the database with")
        SigV4QueryAuth(credentials, "rds-db", self._region, expires=TOKEN_SECONDS).add_auth(request)
        return str(request.url).removeprefix("https://")


class SecretLogin:
    """User and password, and what else it says of the database, from a secret in the form that RDS gives its own (username, password,
    host, port, dbname). It is kept for five minutes, and read anew when a login is refused: then it was rotated.
    """

    def __init__(self, read: Callable[[], str]) -> None:
        """`read` gives the secret's text, or raises ConnectionError."""
        self._read = read
        self._lock = Lock()
        self._known: Mapping[str, Any] = {}
        self._read_at = 0.0

    def arguments(self) -> Mapping[str, Any]:
        with self._lock:
            if not self._is_younger(SECRET_KEPT_SECONDS):
                self._read_anew()
            return self._known

    def renew(self) -> bool:
        with self._lock:
            if self._is_younger(SECRET_SETTLED_SECONDS):
                return False
            refused = self._known
            self._read_anew()
            return self._known != refused

    def _is_younger(self, seconds: float) -> bool:
        # By the wall clock, which goes on while the container is frozen.
        return 0 <= time.time() - self._read_at < seconds

    def _read_anew(self) -> None:
        self._known = _connect_arguments(self._read())
        self._read_at = time.time()


def open_engine(settings: DatabaseSettings, *, discreet: bool = True) -> sa.Engine:
    """An engine for the database that the settings name; nothing is connected yet. `discreet` is that of `make_engine`.

    Raises SettingsError where DATABASE_CA_FILE is no file of authorities.
    """
    tls = verified_tls(settings.database_ca_file) if settings.database_is_verified else None
    size = settings.database_pool_size
    if settings.database_url:
        return make_engine(settings.database_url.get_secret_value(), pool_size=size, ssl_context=tls, discreet=discreet)
    host, port = settings.database_host, settings.database_port
    url = sa.URL.create("postgresql+pg8000", host=host and host.strip("[]"), port=port, database=settings.database_name)
    engine = make_engine(url, pool_size=size, ssl_context=tls, discreet=discreet)
    _sign_in(engine, _login(settings))
    return engine


def _login(settings: DatabaseSettings) -> Login:
    region = str(settings.aws_default_region)
    if settings.database_secret_arn:
        arn = settings.database_secret_arn
        return SecretLogin(lambda: _read_secret(arn, region))
    return TokenLogin(str(settings.database_host), settings.database_port, str(settings.database_user), region)


def _sign_in(engine: sa.Engine, login: Login) -> None:
    """Have each new connection of the engine use that login as it then is."""

    def connect(dialect: Any, _record: Any, arguments: list[Any], named: dict[str, Any]) -> Any:
        try:
            return dialect.connect(*arguments, **{**named, **login.arguments()})
        except (DatabaseError, InterfaceError) as error:
            if not _is_refused(error) or not login.renew():
                raise
        return dialect.connect(*arguments, **{**named, **login.arguments()})

    sa.event.listen(engine, "do_connect", connect)


def _is_refused(error: Exception) -> bool:
    fields = error.args[0] if error.args else None
    return isinstance(fields, dict) and str(fields.get("C", "")).startswith(REFUSED)


def _read_secret(arn: str, region: str) -> str:
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import get_session

    try:
        # By itself it waits for a minute, several times over.
        patience = Config(connect_timeout=SECRET_SECONDS, read_timeout=SECRET_SECONDS, retries={"total_max_attempts": 2})
        client = get_session().create_client("secretsmanager", region_name=region, config=patience)
        return str(client.get_secret_value(SecretId=arn)["SecretString"])
    except (BotoCoreError, ClientError, KeyError) as error:
        raise ConnectionError(f"the database's secret can't be read: {error}") from error


def _connect_arguments(secret: str) -> Mapping[str, Any]:
    """What a secret says, in the driver's words; raises ConnectionError, which shows nothing of it, where that is no login."""
    try:
        known = json.loads(secret)
        needed = {"user": str(known["username"]), "password": str(known["password"])}
        more = {"host": known.get("host"), "port": int(known["port"]) if "port" in known else None, "database": known.get("dbname")}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ConnectionError("the database's secret is no JSON object with username and password") from None
    return {**needed, **{name: value for name, value in more.items() if value is not None}}
