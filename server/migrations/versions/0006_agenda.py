"""Which meetings come back, and the orders in which an account's meetings are read."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INDEXES = ("starts_at", "ends_at", "created_at")


def upgrade() -> None:
    # Not by a batch: SQLite would make the table anew, and its members would go with the old one. The default stays.
    op.add_column("meetings", sa.Column("repeats", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute('UPDATE meetings SET repeats = (schedule LIKE \'%"recurrence":"FREQ=%\')')
    op.drop_index("ix_meetings_owner_id", "meetings")
    for name in INDEXES:
        op.create_index(f"ix_meetings_owner_id_{name}", "meetings", ["owner_id", name])


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(f"ix_meetings_owner_id_{name}", "meetings")
    op.create_index("ix_meetings_owner_id", "meetings", ["owner_id"])
    op.drop_column("meetings", "repeats")
