"""What a deployment calls."""

from chalicelib.db.migrations import upgrade
from chalicelib.runtime import runtime


def migrate() -> dict[str, str]:
    """Make or change the tables; safe to call again."""
    upgrade(runtime().settings.database_url.get_secret_value())
    return {"status": "migrated"}
