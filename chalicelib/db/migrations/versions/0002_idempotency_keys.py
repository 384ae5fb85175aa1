"""Idempotency keys and request rates."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE campusg.idempotency_keys (
    sub             text NOT NULL,
    key             text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint     bytea NOT NULL,
    response        jsonb NOT NULL,
    in_flight_until timestamptz,
    expires_at      timestamptz NOT NULL,
    PRIMARY KEY (sub, key)
);
CREATE INDEX idempotency_keys_expired ON campusg.idempotency_keys (expires_at);

CREATE TABLE campusg.request_rates (
    sub         text NOT NULL,
    minute      timestamptz NOT NULL,
    requests    integer NOT NULL,
    PRIMARY KEY (sub, minute)
);
CREATE INDEX request_rates_old ON campusg.request_rates (minute);
"""


def upgrade() -> None:
    for statement in TABLES.strip().split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE campusg.request_rates")
    op.execute("DROP TABLE campusg.idempotency_keys")
