"""What happened in each minute of the last day, and what waited at its end: one row a minute."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TABLE = """
CREATE TABLE campusg.samples (
    at                 timestamptz PRIMARY KEY,
    taken_at           timestamptz NOT NULL,
    orders_created     integer NOT NULL,
    orders_completed   integer NOT NULL,
    orders_cancelled   integer NOT NULL,
    orders_timed_out   integer NOT NULL,
    sagas_ended        integer NOT NULL,
    steps_ended        integer NOT NULL,
    step_p50_ms        bigint,
    step_p99_ms        bigint,
    at_least           boolean NOT NULL,
    outbox_age_seconds double precision NOT NULL,
    dead_letters       integer NOT NULL,
    violations         integer NOT NULL,
    unended            uuid[] NOT NULL
)
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE campusg.samples")
