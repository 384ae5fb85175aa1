"""Which connection a lease on buckets of the outbox was taken over: once that is gone, so is the lease."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE campusg.outbox_buckets ADD COLUMN holder_pid integer")


def downgrade() -> None:
    op.execute("ALTER TABLE campusg.outbox_buckets DROP COLUMN holder_pid")
