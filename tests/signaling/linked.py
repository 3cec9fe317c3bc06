"""Our end of DTLS and SCTP joined to aiortc's own client end, in memory, by a link that loses datagrams."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from aiortc import RTCCertificate, RTCDataChannel, RTCDataChannelParameters, RTCSctpTransport
from aiortc import rtcdtlstransport as aiortc_dtls
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcsctptransport import RTCSctpCapabilities

from signaling.transport import MAX_MESSAGE_SIZE, DtlsTransport, SrtpKeys, local_fingerprint

# Generous: what is waited for takes milliseconds, or seconds where datagrams are lost.
PATIENCE = 60.0


class Link:
    """Carries datagrams both ways in order; each is lost with probability `loss`. It ends with `ConnectionError`."""

    def __init__(self, loss: float = 0.0, seed: int = 1) -> None:
        self.loss = loss
        self.random = random.Random(seed)
        self.to_client: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.to_server: Callable[[bytes], None] = lambda data: None
        self.largest = 0

    def send_to_client(self, data: bytes) -> None:
        self.largest = max(self.largest, len(data))
        if self.random.random() >= self.loss:
            self.to_client.put_nowait(data)

    # The face that RTCDtlsTransport wants of an ICE transport.
    role = "controlling"

    async def _recv(self) -> bytes:
        data = await self.to_client.get()
        if data is None:
            raise ConnectionError
        return data

    async def _send(self, data: bytes) -> None:
        if self.random.random() >= self.loss:
            asyncio.get_running_loop().call_soon(self.to_server, data)


class KeepingDtls(RTCDtlsTransport):
    """Remembers the SRTP keys, which aiortc puts out of reach."""

    keys: tuple[bytes, bytes] = (b"", b"")

    def _setup_srtp(self) -> None:
        super()._setup_srtp()
        assert self._ssl is not None
        selected = self._ssl.get_selected_srtp_profile()
        for profile in aiortc_dtls.SRTP_PROFILES:
            if profile.openssl_profile == selected:
                length = 2 * (profile.key_length + profile.salt_length)
                material = self._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", length)
                ours, theirs = (1, 0) if self._role == "server" else (0, 1)
                self.keys = profile.get_key_and_salt(material, ours), profile.get_key_and_salt(material, theirs)


class Listener:
    """Writes down what it hears."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.keys: SrtpKeys | None = None
        self.open: list[str] = []
        self.messages: list[tuple[str, bytes | str]] = []
        self.gone: list[str] = []
        self.end: str | None = None
        self.on_message: Callable[[str, bytes | str], None] = lambda label, data: None

    def send_datagram(self, data: bytes) -> None:
        self.link.send_to_client(data)

    def connected(self, keys: SrtpKeys) -> None:
        assert self.keys is None
        self.keys = keys

    def channel_opened(self, label: str) -> None:
        self.open.append(label)

    def channel_closed(self, label: str) -> None:
        self.gone.append(label)

    def message(self, label: str, data: bytes | str) -> None:
        self.messages.append((label, data))
        self.on_message(label, data)

    def failed(self, reason: str) -> None:
        assert self.end is None
        self.end = f"failed: {reason}"

    def closed(self) -> None:
        assert self.end is None
        self.end = "closed"


class Pair:
    """A `DtlsTransport` and aiortc's client end."""

    def __init__(self, link: Link, *, we_are_client: bool = False) -> None:
        self.link = link
        self.listener = Listener(link)
        self.ours = DtlsTransport(self.listener)
        link.to_server = self.ours.feed
        self.certificate = RTCCertificate.generateCertificate()
        self.dtls = KeepingDtls(link, [self.certificate])  # type: ignore[arg-type]
        self.dtls._set_role("server" if we_are_client else "client")
        self.sctp = RTCSctpTransport(self.dtls)
        self.sctp._rto = 1.0
        self.we_are_client = we_are_client
        self.channels: dict[str, RTCDataChannel] = {}
        self.received: list[tuple[str, bytes | str]] = []
        self.sctp.on("datachannel", self.adopt)

    def adopt(self, channel: RTCDataChannel) -> None:
        self.channels[channel.label] = channel
        channel.on("message", lambda data: self.received.append((channel.label, data)))

    def open(self, label: str, **options: Any) -> RTCDataChannel:
        channel = RTCDataChannel(self.sctp, RTCDataChannelParameters(label=label, **options))
        self.adopt(channel)
        return channel

    def fingerprints(self) -> dict[str, str]:
        return {print_.algorithm: print_.value for print_ in self.certificate.getFingerprints()}

    async def connect(self, channels: tuple[str, ...] = (), fingerprints: dict[str, str] | None = None) -> None:
        self.ours.start(fingerprints or self.fingerprints(), client=self.we_are_client, channels=channels)
        theirs = RTCDtlsParameters([RTCDtlsFingerprint("sha-256", local_fingerprint())])
        await asyncio.wait_for(self.dtls.start(theirs), PATIENCE)
        if self.dtls.state == "connected":
            await self.sctp.start(RTCSctpCapabilities(maxMessageSize=MAX_MESSAGE_SIZE), 5000)

    async def disconnect(self) -> None:
        self.ours.stop()
        await self.sctp.stop()
        await self.dtls.stop()
        self.link.to_client.put_nowait(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Waits for something that the other end's timers or tasks bring about."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - aiortc's end tells of most changes by no event
            await asyncio.sleep(0.005)
