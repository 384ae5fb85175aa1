"""Deliveries that were begun and never came to an end."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE campusg.delivery_failures ADD COLUMN unfinished integer NOT NULL DEFAULT 0;
CREATE INDEX delivery_failures_old ON campusg.delivery_failures (last_at);
"""


def upgrade() -> None:
    for statement in TABLES.strip().split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP INDEX campusg.delivery_failures_old")
    op.execute("ALTER TABLE campusg.delivery_failures DROP COLUMN unfinished")
