"""What a deployment calls."""

import os

from chalicelib.db.access import open_engine
from chalicelib.db.migrations import upgrade_with
from chalicelib.settings import MigrationSettings


def migrate() -> dict[str, str]:
    """Make or change the tables, and give the functions' role its rights on them where it has a name; safe to call again."""
    settings = MigrationSettings.read(os.environ)
    engine = open_engine(settings, discreet=False)
    try:
        upgrade_with(engine, settings.database_functions_role)
    finally:
        engine.dispose()
    return {"status": "migrated"}
