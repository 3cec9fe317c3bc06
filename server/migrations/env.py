"""Alembic's entry: runs the migrations on the connection that `Database.migrate` hands over."""

from alembic import context

from server.database import Table

context.configure(connection=context.config.attributes["connection"], target_metadata=Table.metadata)
with context.begin_transaction():
    context.run_migrations()
