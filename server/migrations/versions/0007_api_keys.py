"""API keys, what a program calls a meeting, lists by pages, and answers to requests that may be sent again."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
    )
    op.create_table(
        "answers",
        sa.Column("caller", sa.String(32), nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name="pk_answers"),
    )
    op.create_index("ix_answers_created_at", "answers", ["created_at"])
    with op.batch_alter_table("meetings") as meetings:
        meetings.add_column(sa.Column("api_key_id", sa.String(32), nullable=True))
        meetings.add_column(sa.Column("external_id", sa.String(128), nullable=True))
        meetings.create_index("ix_meetings_external_id", ["external_id", "api_key_id"], unique=True)
        meetings.create_index("ix_meetings_created_at", ["created_at", "id"])
    with op.batch_alter_table("accounts") as accounts:
        accounts.create_index("ix_accounts_created_at", ["created_at", "id"])


def downgrade() -> None:
    with op.batch_alter_table("accounts") as accounts:
        accounts.drop_index("ix_accounts_created_at")
    with op.batch_alter_table("meetings") as meetings:
        meetings.drop_index("ix_meetings_created_at")
        meetings.drop_index("ix_meetings_external_id")
        meetings.drop_column("external_id")
        meetings.drop_column("api_key_id")
    op.drop_table("answers")
    op.drop_table("api_keys")
