"""From when on the sweep looks at a saga, so that a saga's steps change nothing that an index has."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What the release before this one still inserts is looked at by the next sweep.
    op.execute("ALTER TABLE campusg.sagas ADD COLUMN look_at timestamptz DEFAULT '-infinity'")
    op.execute("DROP INDEX campusg.sagas_due")
    op.execute("CREATE INDEX sagas_due ON campusg.sagas (look_at) WHERE ended_at IS NULL")


def downgrade() -> None:
    op.execute("ALTER TABLE campusg.sagas DROP COLUMN look_at")
    op.execute("CREATE INDEX sagas_due ON campusg.sagas (due_at) WHERE due_at IS NOT NULL")
