"""Settings: typed, refused by name when wrong, and silent about secrets."""

from pathlib import Path
from typing import get_args

import pytest
import sqlalchemy as sa

from chalicelib.errors import SettingsError
from chalicelib.messaging.producer import SECURITY, Security
from chalicelib.settings import DatabaseSettings, MigrationSettings, RoleSettings, Settings, SharedSettings, TokenSettings

SECRET = "s3cr3t"
GOOD = {"DATABASE_URL": f"postgresql+pg8000://user:{SECRET}@localhost/orders", "KAFKA_BROKERS": "localhost:9092"}
LAMBDA = {"AWS_LAMBDA_FUNCTION_NAME": "orders-prod", "AWS_DEFAULT_REGION": "eu-west-1"}
ON_AWS = {**GOOD, **LAMBDA, "KAFKA_SECURITY": "TLS"}
TOKENS = {"DEV_JWKS_FILE": "/keys/jwks.json"}
TOKENS_ON_AWS = {**LAMBDA, "JWKS_URL": "https://issuer.example/jwks.json"}
ALLOWED = {"ALLOW_DEVELOPMENT_SETTINGS": "1"}
BY_IAM = {"DATABASE_HOST": "proxy.example", "DATABASE_USER": "campusg", "AWS_DEFAULT_REGION": "eu-west-1"}
BY_SECRET = {"DATABASE_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:1:secret:orders-a1b2", "AWS_DEFAULT_REGION": "eu-west-1"}


def test_what_has_a_default_may_be_left_out() -> None:
    settings, tokens = Settings.read(GOOD), TokenSettings.read(TOKENS)

    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == GOOD["DATABASE_URL"]
    assert settings.kafka_brokers == "localhost:9092"
    assert tokens.dev_jwks_file == Path("/keys/jwks.json")
    assert (settings.step_timeout_seconds, settings.step_max_attempts) == (10, 5)
    assert (settings.accept_timeout_seconds, settings.complete_timeout_seconds) == (1800, 86400)
    assert (tokens.jwt_issuer, tokens.jwt_audience) == ("campusg-local", "campusg-orders")
    assert (settings.kafka_security, settings.stage) == ("PLAINTEXT", "local")
    assert settings.for_development


def test_variables_are_read_as_what_they_are() -> None:
    given = {"STEP_TIMEOUT_SECONDS": "0.5", "STEP_MAX_ATTEMPTS": "3", "ACCEPT_TIMEOUT_SECONDS": "5", "DATABASE_POOL_SIZE": "8"}
    settings = Settings.read({**GOOD, **given})

    assert (settings.step_timeout_seconds, settings.step_max_attempts) == (0.5, 3)
    assert (settings.accept_timeout_seconds, settings.database_pool_size) == (5, 8)


def test_an_empty_variable_counts_as_absent_and_others_are_none_of_our_business() -> None:
    assert Settings.read({**GOOD, "STEP_MAX_ATTEMPTS": " ", "PATH": "/bin", "HOME": ""}).step_max_attempts == 5


@pytest.mark.parametrize(
    ("name", "sentence"), [("DATABASE_URL", "DATABASE_URL is missing"), ("KAFKA_BROKERS", "KAFKA_BROKERS: is missing")]
)
def test_a_variable_that_is_missing_is_named(name: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=f"^{sentence}"):
        Settings.read({**GOOD, name: ""})


def test_whoever_needs_no_database_and_no_broker_is_asked_for_none() -> None:
    assert TokenSettings.read(TOKENS_ON_AWS).jwks_url == TOKENS_ON_AWS["JWKS_URL"]
    assert DatabaseSettings.read({**LAMBDA, **BY_IAM}).database_host == "proxy.example"
    assert SharedSettings.read({}).stage == "local"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", f"postgresql://user:{SECRET}@localhost/orders"),
        ("DATABASE_URL", SECRET),
        ("DATABASE_POOL_SIZE", "0"),
        ("DATABASE_POOL_SIZE", "many"),
        *(
            ("DATABASE_URL", f"postgresql+pg8000://{rest}")
            for rest in ("", "h", "/d", f"u:{SECRET}@/d", f"u:{SECRET}@h:0/d", f"u:{SECRET}@h:x/d")
        ),
        *(
            ("KAFKA_BROKERS", value)
            for value in ("x", ":9092", "a:b", "a:9092,", "a:0", "a:70000", "http://a:9092", "a:9092;b:9092", "[::1:1")
        ),
        ("KAFKA_SECURITY", "SASL_PLAIN"),
        ("KAFKA_SECURITY", "tls"),
        ("STEP_TIMEOUT_SECONDS", "0"),
        ("STEP_TIMEOUT_SECONDS", "-1"),
        ("STEP_TIMEOUT_SECONDS", "ten"),
        ("STEP_TIMEOUT_SECONDS", "3601"),
        ("STEP_TIMEOUT_SECONDS", "nan"),
        ("STEP_MAX_ATTEMPTS", "0"),
        ("STEP_MAX_ATTEMPTS", "1.5"),
        ("STEP_MAX_ATTEMPTS", "101"),
        ("ACCEPT_TIMEOUT_SECONDS", "0"),
        ("ACCEPT_TIMEOUT_SECONDS", "inf"),
        ("ACCEPT_TIMEOUT_SECONDS", "1e300"),
        ("COMPLETE_TIMEOUT_SECONDS", "-5"),
        ("COMPLETE_TIMEOUT_SECONDS", "nan"),
        ("ALLOW_DEVELOPMENT_SETTINGS", "true"),
        ("DATABASE_HOST", "http://h"),
        ("DATABASE_PORT", "0"),
        ("DATABASE_SECRET_ARN", SECRET),
        *(("STAGE", value) for value in ("a b", "x" * 33, "dev/1", "é")),
    ],
)
def test_a_variable_that_is_wrong_is_named_and_its_value_is_not_told(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.read({**GOOD, name: value})

    assert str(raised.value).startswith(f"{name}: ")
    assert SECRET not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    "url",
    [
        *("x", "https://", "https:///jwks", "https://:443/jwks", "file:///etc/passwd", "ftp://h/jwks"),
        *(f"https://{rest}" for rest in (f"u:{SECRET}@h/jwks", "h\\@evil/jwks", "h/a b", "h/\n", "h:99999/", "h#x")),
        *("data:application/json,{}", "//h/jwks", "ldap://h", "https://h\u3002example/jwks"),
    ],
)
def test_a_key_set_that_is_no_plain_url_is_refused_and_not_told(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^JWKS_URL: ") as raised:
        TokenSettings.read({**TOKENS, "JWKS_URL": url})
    assert SECRET not in str(raised.value)


def test_all_wrong_variables_are_named_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.read({"DATABASE_URL": SECRET, "STEP_MAX_ATTEMPTS": "0"})

    assert [each.split(":")[0] for each in str(raised.value).split("; ")] == ["STEP_MAX_ATTEMPTS", "DATABASE_URL", "KAFKA_BROKERS"]


def test_the_password_is_in_no_text_of_the_settings() -> None:
    settings = Settings.read(GOOD)

    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert SECRET not in settings.model_dump_json()


@pytest.mark.parametrize("more", [{}, {"JWKS_URL": "https://issuer.example/jwks.json"}, {"ALLOW_DEVELOPMENT_SETTINGS": "0"}])
def test_development_keys_are_refused_on_aws(more: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"^DEV_JWKS_FILE is for development"):
        TokenSettings.read({**TOKENS, **LAMBDA, **more})


def test_on_aws_nothing_is_for_development() -> None:
    assert not Settings.read(ON_AWS).for_development
    assert not TokenSettings.read(TOKENS_ON_AWS).for_development


def test_on_an_emulator_development_settings_are_taken_where_that_is_asked_for() -> None:
    settings = Settings.read({**GOOD, **LAMBDA, **ALLOWED})
    assert (settings.kafka_security, settings.database_is_verified) == ("PLAINTEXT", False)
    assert TokenSettings.read({**TOKENS, **LAMBDA, **ALLOWED}).dev_jwks_file
    assert TokenSettings.read({**LAMBDA, **ALLOWED, "JWKS_URL": "http://127.0.0.1:1/jwks.json"}).jwks_url
    with pytest.raises(SettingsError, match=r"^JWKS_URL must be https beyond this machine"):
        TokenSettings.read({**LAMBDA, **ALLOWED, "JWKS_URL": "http://10.0.0.1/jwks.json"})


@pytest.mark.parametrize(
    ("verified", "given"),
    [
        (False, GOOD),
        (True, ON_AWS),
        (False, {**ON_AWS, **ALLOWED}),
        (True, {**ON_AWS, **ALLOWED, "DATABASE_CA_FILE": "/ca.pem"}),
        (True, {**GOOD, "DATABASE_CA_FILE": "/ca.pem"}),
        (True, BY_IAM),
        (True, {**BY_IAM, **ALLOWED}),
        (True, BY_SECRET),
    ],
)
def test_a_token_or_a_secret_is_shown_to_no_server_that_nobody_vouches_for(verified: bool, given: dict[str, str]) -> None:
    assert DatabaseSettings.read(given).database_is_verified == verified


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "DATABASE_URL is missing"),
        ({"DATABASE_HOST": "h", "AWS_DEFAULT_REGION": "r"}, "DATABASE_URL is missing"),
        ({"DATABASE_USER": "u", "AWS_DEFAULT_REGION": "r"}, "DATABASE_URL is missing"),
        ({**BY_IAM, "AWS_DEFAULT_REGION": ""}, "AWS_DEFAULT_REGION is missing"),
        ({**BY_SECRET, "AWS_DEFAULT_REGION": ""}, "AWS_DEFAULT_REGION is missing"),
        ({**BY_SECRET, "DATABASE_USER": "u"}, "DATABASE_USER must not be given with DATABASE_SECRET_ARN"),
        *(
            ({**BY_IAM, **BY_SECRET, **GOOD, name: ""}, "DATABASE_URL must not be given with")
            for name in ("DATABASE_USER", "DATABASE_HOST")
        ),
    ],
)
def test_there_is_one_way_to_the_database(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=f"^{sentence}"):
        DatabaseSettings.read(given)


def test_roles_are_made_for_an_owner_and_for_functions() -> None:
    assert MigrationSettings.read(GOOD).database_functions_role is None
    with pytest.raises(SettingsError, match="DATABASE_OWNER_ROLE: is missing; DATABASE_FUNCTIONS_ROLE: is missing"):
        RoleSettings.read(GOOD)


@pytest.mark.parametrize("url", ["http://issuer.example/jwks.json", "http://127.0.0.1:8080/jwks.json", "HTTP://localhost/jwks.json"])
def test_on_aws_keys_come_by_https_only(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^JWKS_URL must be https on AWS"):
        TokenSettings.read({**TOKENS_ON_AWS, "JWKS_URL": url})


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/jwks.json", "http://localhost/jwks", "http://[::1]:1/", "https://issuer.example"])
def test_at_home_keys_may_come_by_http_from_this_machine(url: str) -> None:
    assert TokenSettings.read({**TOKENS, "JWKS_URL": url}).jwks_url == url


@pytest.mark.parametrize("host", ["issuer.example", "10.0.0.1", "127.0.0.1.example", "localhost.example", "[::2]", "0.0.0.0"])  # noqa: S104 - what is tested
def test_by_http_no_keys_come_from_elsewhere(host: str) -> None:
    with pytest.raises(SettingsError, match=r"^JWKS_URL must be https beyond this machine"):
        TokenSettings.read({**TOKENS, "JWKS_URL": f"http://{host}/jwks.json"})


@pytest.mark.parametrize(
    "rest",
    ["u@h/d", "h/d", "h:1/d", f"u:{SECRET}@h.example:65535/d", f"u:{SECRET}/#?:%40@[::1]:5432/d?x=y", f"u:{SECRET}@/d?unix_sock=/run/s"],
)
def test_a_database_is_named_as_sqlalchemy_reads_it(rest: str) -> None:
    url = f"postgresql+pg8000://{rest}"
    given = Settings.read({**GOOD, "DATABASE_URL": url}).database_url
    assert given is not None
    assert given.get_secret_value() == url
    assert sa.make_url(url).database == "d"


@pytest.mark.parametrize("brokers", ["b-1.msk.example:9098", "a:1,b:2", "a:1, b:2", "[::1]:9092,127.0.0.1:65535"])
def test_brokers_are_hosts_with_ports(brokers: str) -> None:
    assert Settings.read({**GOOD, "KAFKA_BROKERS": brokers}).kafka_brokers == brokers.replace(" ", "")


def test_plain_text_to_the_broker_is_refused_on_aws() -> None:
    for security in ("PLAINTEXT", ""):
        with pytest.raises(SettingsError, match=r"^KAFKA_SECURITY must be TLS or MSK_IAM"):
            Settings.read({**ON_AWS, "KAFKA_SECURITY": security})


def test_iam_to_the_broker_needs_a_region_to_sign_for() -> None:
    with pytest.raises(SettingsError, match=r"^AWS_DEFAULT_REGION is missing"):
        Settings.read({**GOOD, "KAFKA_SECURITY": "MSK_IAM", "AWS_REGION": "eu-west-1"})
    assert Settings.read({**GOOD, "KAFKA_SECURITY": "MSK_IAM", "AWS_DEFAULT_REGION": "eu-west-1"}).kafka_security == "MSK_IAM"


def test_the_producer_knows_every_kind_of_security() -> None:
    assert set(get_args(Security)) == set(SECURITY) == set(get_args(Settings.model_fields["kafka_security"].annotation))


def test_nobody_can_pretend_not_to_be_on_aws() -> None:
    with pytest.raises(SettingsError, match="DEV_JWKS_FILE"):
        TokenSettings.read({**TOKENS, **LAMBDA, "FOR_DEVELOPMENT": "true"})


def test_keys_must_come_from_somewhere() -> None:
    with pytest.raises(SettingsError, match=r"^JWKS_URL is missing"):
        TokenSettings.read({})


def test_settings_can_not_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.read(GOOD).step_max_attempts = 1  # type: ignore[misc]
