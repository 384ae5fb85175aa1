"""Dead letters that will never be taken: dismissed by whom, when and why; those no longer wait."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE campusg.dead_letters
    ADD COLUMN dismissed_at   timestamptz,
    ADD COLUMN dismissed_by   text,
    ADD COLUMN dismiss_reason text CHECK (length(dismiss_reason) BETWEEN 1 AND 255),
    ADD CONSTRAINT dismissed_whole CHECK (num_nulls(dismissed_at, dismissed_by, dismiss_reason) IN (0, 3)),
    ADD CONSTRAINT redriven_or_dismissed CHECK (redriven_at IS NULL OR dismissed_at IS NULL);
DROP INDEX campusg.dead_letters_waiting;
CREATE INDEX dead_letters_waiting ON campusg.dead_letters (error_class, dead_letter_id DESC)
    WHERE redriven_at IS NULL AND dismissed_at IS NULL;
CREATE INDEX dead_letters_dismissed ON campusg.dead_letters (dead_letter_id DESC) WHERE dismissed_at IS NOT NULL;
CREATE INDEX dead_letters_not_dismissed ON campusg.dead_letters (dead_letter_id DESC) WHERE dismissed_at IS NULL;
"""
BACK = """
ALTER TABLE campusg.dead_letters DROP COLUMN dismissed_at, DROP COLUMN dismissed_by, DROP COLUMN dismiss_reason;
CREATE INDEX dead_letters_waiting ON campusg.dead_letters (error_class, dead_letter_id DESC) WHERE redriven_at IS NULL;
"""


def upgrade() -> None:
    for statement in COLUMNS.strip().split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    """Those dismissed wait again; constraints and indexes that name the columns go with them."""
    for statement in BACK.strip().split(";\n"):
        op.execute(statement)
