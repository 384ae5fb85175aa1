"""The environment variables of a function: what it needs and nothing else."""

from infra.aws.functions import AUTHORIZER, MIGRATE, Function
from infra.aws.intrinsics import NO_VALUE, Value, either, ref
from infra.aws.parameters import shared_settings

EVERY: Value = {
    "STAGE": ref("Stage"),
    "ALLOW_DEVELOPMENT_SETTINGS": either("Develops", "1"),
}
TOKENS: Value = {"JWKS_URL": ref("JwksUrl"), "JWT_ISSUER": ref("JwtIssuer"), "JWT_AUDIENCE": ref("JwtAudience")}
DATABASE: Value = {
    "DATABASE_URL": either("UsesDatabaseUrl", ref("DatabaseUrl")),
    "DATABASE_SECRET_ARN": either("UsesDatabaseSecret", ref("DatabaseSecretArn")),
    "DATABASE_HOST": either("UsesDatabaseUrl", NO_VALUE, ref("DatabaseHost")),
    "DATABASE_PORT": either("UsesDatabaseUrl", NO_VALUE, ref("DatabasePort")),
    "DATABASE_NAME": either("UsesDatabaseUrl", NO_VALUE, ref("DatabaseName")),
}
BROKERS: Value = {"KAFKA_BROKERS": ref("KafkaBrokers"), "KAFKA_SECURITY": ref("KafkaSecurity")}


def variables(function: Function) -> Value:
    """The function's environment variables."""
    if function == AUTHORIZER:
        return EVERY | TOKENS
    if function == MIGRATE:
        return EVERY | DATABASE | _as("DatabaseOwner") | {"DATABASE_FUNCTIONS_ROLE": either("UsesDatabaseIam", ref("DatabaseUser"))}
    operators = {variable: ref(parameter) for parameter, variable in shared_settings().items()}
    return EVERY | DATABASE | _as("DatabaseUser") | BROKERS | operators


def _as(parameter: str) -> Value:
    return {"DATABASE_USER": either("UsesDatabaseIam", ref(parameter))}
