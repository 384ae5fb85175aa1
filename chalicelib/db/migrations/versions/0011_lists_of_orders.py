"""One index for lists by either status, in the order of the lists; none by creation, as ids tell when they were made."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX orders_by_statuses ON campusg.orders (order_status, payment_status, order_id)")
    for name in ("orders_by_status", "orders_by_payment_status", "orders_by_creation"):
        op.execute(f"DROP INDEX campusg.{name}")


def downgrade() -> None:
    op.execute("CREATE INDEX orders_by_status ON campusg.orders (order_status, order_id DESC)")
    op.execute("CREATE INDEX orders_by_payment_status ON campusg.orders (payment_status, order_id DESC)")
    op.execute("CREATE INDEX orders_by_creation ON campusg.orders (created_at)")
    op.execute("DROP INDEX campusg.orders_by_statuses")
