"""Due orders that the clock could not handle, and how long each of them makes room for others."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Apart from the order's row, and without a foreign key: that row may be what can't be handled, or be locked by somebody else.
TABLE = """
CREATE TABLE campusg.order_setbacks (
    order_id      uuid PRIMARY KEY,
    version       integer NOT NULL,
    setbacks      integer NOT NULL,
    put_off_until timestamptz NOT NULL
)
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE campusg.order_setbacks")
