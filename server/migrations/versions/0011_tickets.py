"""Links for one person are taken back by a number: those of another number than their meeting's let nobody in."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("meetings", sa.Column("ticket_series", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("meetings", "ticket_series")
