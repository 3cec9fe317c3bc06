"""A webhook that was turned off is told of by mail, to whoever can turn it on again: the service's administrators."""

from __future__ import annotations

import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from server.accounts import Accounts
from server.invitations import Writer
from server.letters import Letter, Letters


class WebhookLetters:
    """Listens to `Deliveries`; `base` is the address of the service for people."""

    def __init__(self, accounts: Accounts, letters: Letters, writer: Writer, base: str) -> None:
        self._accounts = accounts
        self._letters = letters
        self._writer = writer
        self._base = base

    async def disabled(self, session: AsyncSession, subscription_id: str, url: str, answer: str) -> None:
        """Puts the letters in line, with what turns the webhook off. Raises SQLAlchemyError."""
        if not self._letters.is_set_up:
            return
        letters: list[Letter] = []
        for account in await self._accounts.administrators(session):
            subject, text = self._writer.letter(
                account.locale or "en",
                "webhook_disabled.txt",
                url=url,
                answer=answer,
                id=subscription_id,
                link=f"{self._base}/webhooks/{subscription_id}",
            )
            letters.append(Letter(subscription_id, account.email, subject, text))
        await self._letters.add(letters, datetime.datetime.now(datetime.UTC), session)

    def settled(self) -> None:
        """Has the letters sent."""
        self._letters.wake()
