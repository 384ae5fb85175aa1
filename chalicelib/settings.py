"""Settings: read once from the environment, typed, and refused when wrong. Secrets are `SecretStr` and never shown."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from chalicelib.errors import SettingsError

A_YEAR = 31_536_000


def _postgres(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith("postgresql+pg8000://"):
        raise ValueError("must begin with postgresql+pg8000://")
    return url


class Settings(BaseModel):
    """What the functions need to know; each field is an environment variable of the same name in capitals."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="ignore")

    database_url: Annotated[SecretStr, AfterValidator(_postgres)]
    database_pool_size: int = Field(default=1, ge=1, le=100)
    kafka_brokers: str = Field(min_length=3)
    kafka_security: Literal["PLAINTEXT", "TLS", "MSK_IAM"] = "PLAINTEXT"
    aws_default_region: str | None = None
    step_timeout_seconds: float = Field(default=10, gt=0, le=3600)
    step_max_attempts: int = Field(default=5, ge=1, le=100)
    accept_timeout_seconds: float = Field(default=1800, gt=0, le=A_YEAR)
    complete_timeout_seconds: float = Field(default=86400, gt=0, le=A_YEAR)
    rate_limit_per_minute: int = Field(default=0, ge=0)
    jwt_issuer: str = "campusg-local"
    jwt_audience: str = "campusg-orders"
    jwks_url: str | None = None
    dev_jwks_file: Path | None = None
    on_aws: bool = False

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Read the environment; raises SettingsError that names every variable that is missing or wrong."""
        values: dict[str, object] = {name.lower(): value for name, value in environ.items() if value.strip()}
        try:
            return cls.model_validate({**values, "on_aws": "AWS_LAMBDA_FUNCTION_NAME" in environ})
        except ValidationError as error:
            wrong = [f"{'.'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors(include_input=False)]
            raise SettingsError("; ".join(wrong).replace(": Value error,", ":").lstrip(": ")) from None

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.on_aws and self.dev_jwks_file:
            raise ValueError("DEV_JWKS_FILE is for development and refused on AWS")
        if self.on_aws and self.kafka_security == "PLAINTEXT":
            raise ValueError("KAFKA_SECURITY must be TLS or MSK_IAM: PLAINTEXT is for development and refused on AWS")
        if self.kafka_security == "MSK_IAM" and not self.aws_default_region:
            raise ValueError("AWS_DEFAULT_REGION is missing: MSK_IAM signs for a region, and AWS_REGION alone is not read")
        if not self.jwks_url and not self.dev_jwks_file:
            raise ValueError("JWKS_URL is missing (in development DEV_JWKS_FILE)")
        return self
