"""Rows of the outbox that their writer publishes: whose they are, and how they go."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# In a function, as a proxy that shares connections would keep one for whoever sets a parameter by a statement.
SETTLE = """
CREATE FUNCTION campusg.settle_outbox(ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM campusg.outbox WHERE id = ANY(ids);
END $$
"""


def upgrade() -> None:
    op.execute("ALTER TABLE campusg.outbox ADD COLUMN leased_by integer")
    op.execute(SETTLE)


def downgrade() -> None:
    op.execute("DROP FUNCTION campusg.settle_outbox")
    op.execute("ALTER TABLE campusg.outbox DROP COLUMN leased_by")
