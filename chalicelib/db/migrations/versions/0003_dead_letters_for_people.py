"""Indexes for lists of dead letters, and for counting those that wait."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INDEXES = """
CREATE INDEX dead_letters_by_error ON campusg.dead_letters (error_class, dead_letter_id DESC);
CREATE INDEX dead_letters_by_topic ON campusg.dead_letters (topic, dead_letter_id DESC);
CREATE INDEX dead_letters_of_order ON campusg.dead_letters (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX dead_letters_waiting ON campusg.dead_letters (error_class, dead_letter_id DESC) WHERE redriven_at IS NULL;
CREATE INDEX dead_letters_redriven ON campusg.dead_letters (dead_letter_id DESC) WHERE redriven_at IS NOT NULL;
"""
NAMES = ("by_error", "by_topic", "of_order", "waiting", "redriven")


def upgrade() -> None:
    for statement in INDEXES.strip().split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    for name in NAMES:
        op.execute(f"DROP INDEX campusg.dead_letters_{name}")
