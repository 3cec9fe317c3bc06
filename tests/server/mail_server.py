"""A real SMTP server on loopback, and the letters that it took."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.application import DEADLINE


class MailServer:
    """Letters in the order in which they came."""

    def __init__(self) -> None:
        self.url = ""
        self.refused: set[str] = set()
        """Addresses that it never takes a letter to."""
        self.busy = 0
        """How many letters it will not take before it takes any."""
        self._letters: asyncio.Queue[EmailMessage] = asyncio.Queue()

    @property
    def waiting(self) -> int:
        """Letters that nobody has read."""
        return self._letters.qsize()

    async def next(self) -> EmailMessage:
        """The next letter."""
        async with asyncio.timeout(DEADLINE):
            return await self._letters.get()

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """What aiosmtpd calls for a receiver."""
        if address in self.refused:
            return "550 no such mailbox"
        if self.busy:
            self.busy -= 1
            return "451 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """What aiosmtpd calls for a letter."""
        assert isinstance(envelope.content, bytes)
        letter = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self._letters.put_nowait(letter)
        return "250 taken"


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    """Runs while the block does."""
    taken = MailServer()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(taken, hostname="mail.test", enable_SMTPUTF8=True), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    taken.url = f"smtp://{host}:{port}"
    try:
        yield taken
    finally:
        server.close()
        await server.wait_closed()
