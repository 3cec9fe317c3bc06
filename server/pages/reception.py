"""What the pages about accounts work with."""

from __future__ import annotations

from dataclasses import dataclass

from server.accounts import Accounts
from server.api.requests import Callers
from server.links import Links
from server.mail import Mail
from server.pages.rendering import Renderer
from server.sign_in import SignIns, Visitors


@dataclass(frozen=True, slots=True)
class Reception:
    """Everything that knows somebody, and what draws pages for them."""

    renderer: Renderer
    callers: Callers
    accounts: Accounts
    sign_ins: SignIns
    visitors: Visitors
    links: Links
    mail: Mail
