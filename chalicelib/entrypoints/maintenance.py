"""What a deployment calls."""

from chalicelib.runtime import runtime


def migrate() -> dict[str, str]:
    """Make or change the tables; safe to call again."""
    from chalicelib.db.migrations import upgrade  # Alembic is nothing that a request's cold start should wait for.

    upgrade(runtime().settings.database_url.get_secret_value(), ssl_context=runtime().database_tls)
    return {"status": "migrated"}
