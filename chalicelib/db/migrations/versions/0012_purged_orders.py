"""Up to which ids orders and sagas were purged. An order's saga is no foreign key any more: each saga deleted would read all orders."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE campusg.purged (single boolean PRIMARY KEY CHECK (single), order_id uuid NOT NULL, saga_id uuid NOT NULL)")
    op.execute("INSERT INTO campusg.purged VALUES (true, '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000')")
    op.execute("ALTER TABLE campusg.orders DROP CONSTRAINT held_by_a_saga")


def downgrade() -> None:
    op.execute("""
        ALTER TABLE campusg.orders ADD CONSTRAINT held_by_a_saga FOREIGN KEY (active_saga_id) REFERENCES campusg.sagas
        DEFERRABLE INITIALLY DEFERRED""")
    op.execute("DROP TABLE campusg.purged")
