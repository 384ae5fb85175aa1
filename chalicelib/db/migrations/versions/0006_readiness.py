"""What readiness writes: one row, and a file that is gone with its statement."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE campusg.readiness (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    checked_at timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO campusg.readiness DEFAULT VALUES;
CREATE FUNCTION campusg.write_temporary_file() RETURNS bigint LANGUAGE sql VOLATILE SET work_mem = '64kB'
    AS 'SELECT count(*) FROM generate_series(1, 20000)'
"""


def upgrade() -> None:
    for statement in UPGRADE.strip().split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP FUNCTION campusg.write_temporary_file")
    op.execute("DROP TABLE campusg.readiness")
