"""What a meeting's host decides beforehand, when it is, and who is invited as what."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("meetings") as meetings:
        meetings.add_column(sa.Column("kind", sa.String(16), nullable=False, server_default="instant"))
        meetings.add_column(sa.Column("description", sa.Text(), nullable=False, server_default=""))
        meetings.add_column(sa.Column("settings", sa.Text(), nullable=False, server_default="{}"))
        meetings.add_column(sa.Column("schedule", sa.Text(), nullable=False, server_default=""))
        meetings.add_column(sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True))
        meetings.add_column(sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True))
        meetings.add_column(sa.Column("sequence", sa.Integer(), nullable=False, server_default="0"))
        meetings.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
        meetings.add_column(sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True))
        meetings.add_column(sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True))
        meetings.create_index("ix_meetings_starts_at", ["starts_at"])
    op.execute("UPDATE meetings SET updated_at = created_at")
    # The defaults were for the rows that are there: new ones say what they are.
    with op.batch_alter_table("meetings") as meetings:
        meetings.alter_column("updated_at", existing_type=sa.DateTime(timezone=True), nullable=False)
        meetings.alter_column("kind", existing_type=sa.String(16), server_default=None)
        for name in ("description", "settings", "schedule"):
            meetings.alter_column(name, existing_type=sa.Text(), server_default=None)
        for name in ("sequence", "version"):
            meetings.alter_column(name, existing_type=sa.Integer(), server_default=None)
    op.create_table(
        "members",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("meeting_id", sa.String(32), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.ForeignKeyConstraint(
            ["meeting_id"], ["meetings.id"], name="fk_members_meeting_id_meetings", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_members"),
    )
    op.create_index("ix_members_meeting_id", "members", ["meeting_id", "email"], unique=True)
    op.create_index("ix_members_email", "members", ["email"])


def downgrade() -> None:
    op.drop_table("members")
    with op.batch_alter_table("meetings") as meetings:
        meetings.drop_index("ix_meetings_starts_at")
        for name in (
            "cancelled_at",
            "updated_at",
            "version",
            "sequence",
            "ends_at",
            "starts_at",
            "schedule",
            "settings",
            "description",
            "kind",
        ):
            meetings.drop_column(name)
