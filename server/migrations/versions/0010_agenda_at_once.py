"""What an agenda shows is found among many meetings of one account without a look at each of them."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_meetings_owner_id_starts_at", "meetings")
    op.create_index("ix_meetings_owner_id_repeats", "meetings", ["owner_id", "repeats", "starts_at"])
    op.create_index("ix_meetings_owner_id_kind", "meetings", ["owner_id", "kind", "created_at"])


def downgrade() -> None:
    op.drop_index("ix_meetings_owner_id_kind", "meetings")
    op.drop_index("ix_meetings_owner_id_repeats", "meetings")
    op.create_index("ix_meetings_owner_id_starts_at", "meetings", ["owner_id", "starts_at"])
