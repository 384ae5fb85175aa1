"""Settings: read once from the environment, typed, and refused when wrong. Secrets are `SecretStr` and never shown."""

import ipaddress
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from chalicelib.errors import SettingsError
from chalicelib.validation import found

A_YEAR = 31_536_000
REFUSED = "is for development and refused on AWS"

HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
PORT = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
# As SQLAlchemy reads it: a password goes up to the first @, and all but the database may be left out where a socket is named.
DATABASE = re.compile(rf"postgresql\+pg8000://(?:[^:/@]*(?::[^@]*)?@)?(?:{HOST}(?::{PORT})?/[^?/]+(?:\?.*)?|/[^?/]+\?.*unix_sock=.+)")
DATABASE_FORM = "postgresql+pg8000://user:password@host:port/database"
BROKERS = re.compile(rf"{HOST}:{PORT}(?: *, *{HOST}:{PORT})*")
# Without user and password: a secret has no place in it, and `https://good.example@evil.example` names another host than it seems to.
ISSUER = re.compile(rf"(?i:https?)://{HOST}(?::{PORT})?(?:/[!-~]*)?")
# RFC 6454, section 6.2: a browser sends neither a path nor a last slash, so with one of them nobody would be let in.
ORIGIN = re.compile(rf"\*|none|https?://{HOST}(?::{PORT})?")


def is_database_url(text: str) -> bool:
    """Whether it has DATABASE_FORM."""
    return DATABASE.fullmatch(text) is not None


def _postgres(url: SecretStr) -> SecretStr:
    if not is_database_url(url.get_secret_value()):
        raise ValueError(f"must be {DATABASE_FORM}")
    return url


def _brokers(text: str) -> str:
    if not BROKERS.fullmatch(text.strip()):
        raise ValueError("must be host:port, or several of them with commas between")
    return text.replace(" ", "")


def _issuer(url: str) -> str:
    if not ISSUER.fullmatch(url):
        raise ValueError("must be an http or https URL with a host and without a user")
    return url


def _origin(text: str) -> str:
    if not ORIGIN.fullmatch(text):
        raise ValueError("must be *, none or one origin such as https://orders.example")
    return text


DatabaseUrl = Annotated[SecretStr, AfterValidator(_postgres)]
Brokers = Annotated[str, AfterValidator(_brokers)]


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class FromEnvironment(BaseModel):
    """Settings each field of which is an environment variable of the same name in capitals."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="ignore")

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Read the environment; raises SettingsError that names every variable that is missing or wrong."""
        try:
            return cls.model_validate({name.lower(): value for name, value in environ.items() if value.strip()})
        except ValidationError as error:
            wrong = [f"{str(place[0]).upper()}: {sentence}" if place else sentence for place, sentence in found(error)]
            raise SettingsError("; ".join(wrong)) from None


class SharedSettings(FromEnvironment):
    """Settings that mean the same to a function and to a whole stack, and of which none must be given."""

    stage: str = Field(default="local", pattern=r"^[A-Za-z0-9-]{1,32}$")
    step_timeout_seconds: float = Field(default=10, gt=0, le=3600)
    step_max_attempts: int = Field(default=5, ge=1, le=100)
    accept_timeout_seconds: float = Field(default=1800, gt=0, le=A_YEAR)
    complete_timeout_seconds: float = Field(default=86400, gt=0, le=A_YEAR)
    purge_after_days: int = Field(default=0, ge=0, le=36_500)
    rate_limit_per_minute: int = Field(default=0, ge=0)
    cors_allow_origin: Annotated[str, AfterValidator(_origin)] = "*"


class Guarded(FromEnvironment):
    """Settings some values of which are for development, and refused on Lambda unless that is asked for in so many words."""

    # Lambda sets it itself.
    aws_lambda_function_name: str | None = None
    allow_development_settings: Literal["0", "1"] = "0"

    @property
    def for_development(self) -> bool:
        """Whether settings for development are taken: off Lambda, or where they are allowed there, as on an emulator."""
        return self.aws_lambda_function_name is None or self.allow_development_settings == "1"


class SignedSettings(Guarded):
    """Settings that may ask for requests to be signed, which is done for a region."""

    # Lambda sets it itself.
    aws_default_region: str | None = None

    def check_region(self, what: str) -> None:
        """Raise ValueError where nobody says for which region `what` signs."""
        if not self.aws_default_region:
            raise ValueError(f"AWS_DEFAULT_REGION is missing: {what} signs for a region, and AWS_REGION alone is not read")


class DatabaseSettings(SignedSettings):
    """Where the database is, and as whom it is spoken to: by a URL, by a secret, or by a host and a user who signs in by IAM."""

    database_url: DatabaseUrl | None = None
    database_host: str | None = Field(default=None, pattern=f"^{HOST}$")
    database_port: int = Field(default=5432, ge=1, le=65535)
    database_name: str = "campusg"
    database_user: str | None = None
    database_secret_arn: str | None = Field(default=None, pattern=r"^arn:[!-~]+:secretsmanager:[!-~]+$")
    database_pool_size: int = Field(default=1, ge=1, le=100)
    database_ca_file: Path | None = None

    @property
    def database_is_verified(self) -> bool:
        """Whether the database's server must show a certificate that somebody vouches for."""
        return not self.for_development or self.database_url is None or self.database_ca_file is not None

    @model_validator(mode="after")
    def _one_way_to_the_database(self) -> Self:
        if self.database_url:
            if self.database_host or self.database_user or self.database_secret_arn:
                raise ValueError("DATABASE_URL must not be given with DATABASE_HOST, DATABASE_USER or DATABASE_SECRET_ARN")
            return self
        if self.database_secret_arn:
            if self.database_user:
                raise ValueError("DATABASE_USER must not be given with DATABASE_SECRET_ARN, which has a user")
            self.check_region("DATABASE_SECRET_ARN")
            return self
        if not self.database_host or not self.database_user:
            raise ValueError("DATABASE_URL is missing (or DATABASE_HOST with DATABASE_USER or DATABASE_SECRET_ARN)")
        self.check_region("DATABASE_USER")
        return self


class MigrationSettings(DatabaseSettings):
    """What the function `migrate` needs to know: the database, as its owner, and as whom the other functions work if not as that one."""

    database_functions_role: str | None = None


class RoleSettings(DatabaseSettings):
    """What the function `make_roles` needs to know: the database, as its master user, and the roles to be made."""

    database_owner_role: str
    database_functions_role: str


class BrokerSettings(SignedSettings):
    """Where Kafka is, and how it is spoken to."""

    kafka_brokers: Brokers
    kafka_security: Literal["PLAINTEXT", "TLS", "MSK_IAM"] = "PLAINTEXT"

    @model_validator(mode="after")
    def _safe_broker(self) -> Self:
        if self.kafka_security == "PLAINTEXT" and not self.for_development:
            raise ValueError(f"KAFKA_SECURITY must be TLS or MSK_IAM: PLAINTEXT {REFUSED}")
        if self.kafka_security == "MSK_IAM":
            self.check_region("MSK_IAM")
        return self


class Settings(BrokerSettings, DatabaseSettings, SharedSettings):
    """What the functions need to know that work on orders."""


class TokenSettings(Guarded):
    """What the authorizer needs to know."""

    jwt_issuer: str = "campusg-local"
    jwt_audience: str = "campusg-orders"
    jwks_url: Annotated[str, AfterValidator(_issuer)] | None = None
    dev_jwks_file: Path | None = None

    @model_validator(mode="after")
    def _keys_of_the_issuer(self) -> Self:
        if self.dev_jwks_file and not self.for_development:
            raise ValueError(f"DEV_JWKS_FILE {REFUSED}")
        if self.jwks_url and not self._is_trusted(self.jwks_url):
            where = "beyond this machine" if self.for_development else "on AWS"
            raise ValueError(f"JWKS_URL must be https {where}: who could change the key set on its way could sign any token")
        if not self.jwks_url and not self.dev_jwks_file:
            raise ValueError("JWKS_URL is missing (in development DEV_JWKS_FILE)")
        return self

    def _is_trusted(self, jwks_url: str) -> bool:
        """Whether the keys that come from there are the issuer's (RFC 8725, section 3.10)."""
        url = urlsplit(jwks_url)
        return url.scheme == "https" or (self.for_development and _is_loopback(url.hostname or ""))


@lru_cache(maxsize=1)
def token_settings() -> TokenSettings:
    """The authorizer's settings, read once; raises SettingsError where the environment is wrong."""
    return TokenSettings.read(os.environ)
