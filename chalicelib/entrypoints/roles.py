"""What a deployment calls once, before the first migration, with the database's master user."""

import os
from typing import Any

from chalicelib.db import roles
from chalicelib.db.access import open_engine
from chalicelib.settings import RoleSettings


def make_roles(_event: Any, _context: object) -> dict[str, str]:
    """Make the owner's and the functions' role; safe to call again.

    A Lambda function whose handler is this one, not one of app.py: none of the service's own may know the master's secret.
    """
    settings = RoleSettings.read(os.environ)
    engine = open_engine(settings)
    try:
        with engine.begin() as session:
            roles.make_roles(session, settings.database_owner_role, settings.database_functions_role)
    finally:
        engine.dispose()
    return {"status": "made"}
