"""Outgoing mail: texts to one person, by the operator's mail server. Without one nothing is sent."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid, parseaddr
from urllib.parse import unquote, urlsplit

import aiosmtplib

logger = logging.getLogger(__name__)

_TIME = 20.0
"""Seconds for one message."""
PORTS = {"smtp": 587, "smtps": 465}


class MailNotSent(Exception):
    """The mail server did not take the message."""


class AddressRefused(MailNotSent):
    """The mail server says that it never takes a message to this address."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a mail program offers to put into the calendar (RFC 6047)."""

    file: bytes
    """iCalendar."""
    method: str


class Mail:
    """`url` is `smtp://user:password@host:port` (with STARTTLS where it is offered) or `smtps://`; "" sends nothing."""

    def __init__(self, url: str, sender: str) -> None:
        self._parts = urlsplit(url) if url else None
        self._sender = sender

    @property
    def is_set_up(self) -> bool:
        """Whether there is a mail server."""
        return self._parts is not None

    @property
    def address(self) -> str:
        """The address that mail comes from."""
        return parseaddr(self._sender)[1]

    async def send(
        self, to: str, subject: str, text: str, invitation: Invitation | None = None, reply_to: str = ""
    ) -> None:
        """Raises MailNotSent or AddressRefused, whose text is for the operator; ValueError for a subject of lines."""
        if self._parts is None:
            raise MailNotSent("mail.url: takes a mail server")
        message = EmailMessage(policy=SMTP)
        message["From"] = self._sender
        message["To"] = Address(addr_spec=to)
        if reply_to:
            message["Reply-To"] = Address(addr_spec=reply_to)
        message["Subject"] = subject
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2].rstrip(">"))
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        if invitation is not None:
            _invite(message, invitation)
        parts = self._parts
        try:
            await aiosmtplib.send(
                message,
                hostname=parts.hostname,
                port=parts.port or PORTS[parts.scheme],
                username=unquote(parts.username) if parts.username else None,
                password=unquote(parts.password) if parts.password else None,
                use_tls=parts.scheme == "smtps",
                timeout=_TIME,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [refused.code for refused in error.recipients]
            if codes and all(code >= 500 for code in codes):
                raise AddressRefused(f"the mail server does not take this address (SMTP {codes[0]})") from None
            raise MailNotSent("the mail server does not take this address now") from None
        except (TimeoutError, aiosmtplib.SMTPException, OSError) as error:
            logger.error("mail: %s does not take a message: %s", parts.hostname, type(error).__name__)
            raise MailNotSent("the mail server did not take the message") from None


def _invite(message: EmailMessage, invitation: Invitation) -> None:
    """Twice: as a form of the text, for programs that know it, and as a file, for the others."""
    text = invitation.file.decode()
    parameters = {"method": invitation.method}
    message.add_alternative(text, subtype="calendar", params=parameters, cte="base64")
    message.add_attachment(invitation.file, maintype="application", subtype="ics", filename="invite.ics")
