"""Alembic's entry: migrate over the connection that `upgrade` hands in."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table_schema="campusg", target_metadata=None)
context.run_migrations()
