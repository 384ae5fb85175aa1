"""Settings: read once from the environment, typed, and refused when wrong. Secrets are `SecretStr` and never shown."""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from chalicelib.errors import SettingsError
from chalicelib.validation import found

A_YEAR = 31_536_000

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


class SharedSettings(BaseModel):
    """Settings that mean the same to a function and to a whole stack.

    Each field is an environment variable of the same name in capitals.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="ignore")

    step_timeout_seconds: float = Field(default=10, gt=0, le=3600)
    step_max_attempts: int = Field(default=5, ge=1, le=100)
    accept_timeout_seconds: float = Field(default=1800, gt=0, le=A_YEAR)
    complete_timeout_seconds: float = Field(default=86400, gt=0, le=A_YEAR)
    purge_after_days: int = Field(default=0, ge=0, le=36_500)
    rate_limit_per_minute: int = Field(default=0, ge=0)
    cors_allow_origin: Annotated[str, AfterValidator(_origin)] = "*"

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Read the environment; raises SettingsError that names every variable that is missing or wrong."""
        try:
            return cls.model_validate({name.lower(): value for name, value in environ.items() if value.strip()})
        except ValidationError as error:
            wrong = [f"{str(place[0]).upper()}: {sentence}" if place else sentence for place, sentence in found(error)]
            raise SettingsError("; ".join(wrong)) from None


class Settings(SharedSettings):
    """What the functions need to know."""

    database_url: DatabaseUrl
    database_pool_size: int = Field(default=1, ge=1, le=100)
    database_ca_file: Path | None = None
    kafka_brokers: Brokers
    kafka_security: Literal["PLAINTEXT", "TLS", "MSK_IAM"] = "PLAINTEXT"
    aws_default_region: str | None = None
    jwt_issuer: str = "campusg-local"
    jwt_audience: str = "campusg-orders"
    jwks_url: Annotated[str, AfterValidator(_issuer)] | None = None
    dev_jwks_file: Path | None = None
    aws_lambda_function_name: str | None = None

    @property
    def on_aws(self) -> bool:
        """Whether this runs on Lambda, which sets the variable itself."""
        return self.aws_lambda_function_name is not None

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.on_aws and self.dev_jwks_file:
            raise ValueError("DEV_JWKS_FILE is for development and refused on AWS")
        if self.on_aws and self.kafka_security == "PLAINTEXT":
            raise ValueError("KAFKA_SECURITY must be TLS or MSK_IAM: PLAINTEXT is for development and refused on AWS")
        if self.kafka_security == "MSK_IAM" and not self.aws_default_region:
            raise ValueError("AWS_DEFAULT_REGION is missing: MSK_IAM signs for a region, and AWS_REGION alone is not read")
        if self.jwks_url and not self._is_trusted(self.jwks_url):
            where = "on AWS" if self.on_aws else "beyond this machine"
            raise ValueError(f"JWKS_URL must be https {where}: who could change the key set on its way could sign any token")
        if not self.jwks_url and not self.dev_jwks_file:
            raise ValueError("JWKS_URL is missing (in development DEV_JWKS_FILE)")
        return self

    def _is_trusted(self, jwks_url: str) -> bool:
        """Whether the keys that come from there are the issuer's (RFC 8725, section 3.10)."""
        url = urlsplit(jwks_url)
        return url.scheme == "https" or (not self.on_aws and _is_loopback(url.hostname or ""))
