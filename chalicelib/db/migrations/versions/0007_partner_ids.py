"""Which order each payment and each hold of the partners belongs to."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# A table of its own rather than a unique index on orders: two that share an id already must not keep a release from being installed. Of
# those the older has the id, and the audit names both. No foreign key: whoever purges an order may leave its ids taken.
STATEMENTS = """
CREATE TABLE campusg.partner_ids (
    kind     text NOT NULL CHECK (kind IN ('payment', 'escrow')),
    id       text NOT NULL,
    order_id uuid NOT NULL,
    PRIMARY KEY (kind, id)
);
INSERT INTO campusg.partner_ids (kind, id, order_id)
SELECT DISTINCT ON (payment_id) 'payment', payment_id, order_id
FROM campusg.orders WHERE payment_id IS NOT NULL ORDER BY payment_id, order_id;
INSERT INTO campusg.partner_ids (kind, id, order_id)
SELECT DISTINCT ON (escrow_id) 'escrow', escrow_id, order_id
FROM campusg.orders WHERE escrow_id IS NOT NULL ORDER BY escrow_id, order_id
"""


def upgrade() -> None:
    for statement in STATEMENTS.strip().split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE campusg.partner_ids")
