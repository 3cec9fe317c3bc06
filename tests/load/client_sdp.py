"""What stock clients write into their descriptions: Chromium's own offer as a template, and answers to ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_TEMPLATE = Path(__file__).parents[1] / "signaling/sdp/chromium_simulcast.sdp"
# Lines of an offered section that are about the other side, and have no place in the answer.
_THEIRS = re.compile(
    r"a=(ice-|fingerprint:|setup:|candidate:|end-of-candidates|msid|ssrc|sendonly|recvonly|sendrecv|inactive|rtcp:)"
)
_TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"


@dataclass(frozen=True, slots=True)
class Local:
    """A client's side of a transport."""

    ufrag: str
    password: str
    fingerprint: str

    def lines(self, setup: str) -> list[str]:
        return [
            f"a=ice-ufrag:{self.ufrag}",
            f"a=ice-pwd:{self.password}",
            "a=ice-options:trickle",
            f"a=fingerprint:sha-256 {self.fingerprint}",
            f"a=setup:{setup}",
        ]


@dataclass(frozen=True, slots=True)
class Stream:
    """What the server sends in a section. `extension` is the id of transport-wide numbers, 0 for none."""

    mid: str
    kind: str
    ssrc: int
    rtx_ssrc: int
    extension: int


@dataclass(frozen=True, slots=True)
class Published:
    """A track that a client offers: the sections of the template have the mids "0" (audio) and "1" (video)."""

    kind: str
    cid: str
    ssrc: int
    simulcast: bool
    active: bool = True
    """It is sent now."""

    @property
    def mid(self) -> str:
        return "0" if self.kind == "audio" else "1"


def sections_of(sdp: str) -> tuple[str, list[str]]:
    """The session level and the media sections."""
    session, *sections = re.split(r"^(?=m=)", sdp.replace("\r\n", "\n"), flags=re.MULTILINE)
    return session, sections


def attribute(text: str, name: str) -> str:
    """The first value of an attribute; "" where it is absent."""
    found = re.search(rf"^a={name}:([^\r\n]*)", text, re.MULTILINE)
    return found[1] if found else ""


class Answers:
    """Answers to the offers of one PeerConnection; sections that did not change are not written again."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self._known: dict[str, tuple[str, Stream | None]] = {}

    def answer(self, offer: str) -> tuple[str, list[Stream]]:
        """The answer, and what flows under it."""
        session, sections = sections_of(offer)
        made = {section: self._known.get(section) or self._section(section) for section in sections}
        self._known = made
        head = ["v=0", "o=- 4611731400430051336 2 IN IP4 127.0.0.1", "s=-", "t=0 0"]
        head += [line for line in session.splitlines() if line.startswith(("a=group:", "a=extmap-allow-mixed"))]
        text = "\r\n".join([*head, "a=msid-semantic: WMS"]) + "\r\n"
        streams = [stream for section in sections if (stream := made[section][1]) is not None]
        return text + "".join(made[section][0] for section in sections), streams

    def _section(self, offered: str) -> tuple[str, Stream | None]:
        lines = offered.splitlines()
        sends = "a=sendonly" in lines
        kept = [line for line in lines if not _THEIRS.match(line)]
        mid = kept.index(f"a=mid:{attribute(offered, 'mid')}")
        direction = [] if lines[0].startswith("m=application") else ["a=recvonly" if sends else "a=inactive"]
        text = "\r\n".join([*kept[:mid], *self._local.lines("active"), *direction, *kept[mid:]]) + "\r\n"
        if not sends:
            return text, None
        pair = re.search(r"^a=ssrc-group:FID (\d+) (\d+)$", offered, re.MULTILINE)
        single = re.search(r"^a=ssrc:(\d+) ", offered, re.MULTILINE)
        extension = re.search(rf"^a=extmap:(\d+) {re.escape(_TRANSPORT_CC)}", offered, re.MULTILINE)
        ssrc, rtx_ssrc = (int(pair[1]), int(pair[2])) if pair else (int(single[1]) if single else 0, 0)
        kind = lines[0].removeprefix("m=").split(" ", 1)[0]
        number = int(extension[1]) if extension else 0
        return text, Stream(attribute(offered, "mid"), kind, ssrc, rtx_ssrc, number)


def offer(local: Local, tracks: list[Published]) -> str:
    """Chromium's offer of these tracks and of data channels."""
    session, sections = sections_of(_TEMPLATE.read_text())
    by_kind = {track.kind: track for track in tracks}
    made = []
    for section in sections:
        kind = section.removeprefix("m=").split(" ", 1)[0]
        if kind == "application":
            made.append(_with_local(section, local))
        elif kind in by_kind:
            made.append(_with_track(_with_local(section, local), by_kind[kind]))
    mids = " ".join(attribute(section, "mid") for section in made)
    session = re.sub(r"^a=group:.*$", f"a=group:BUNDLE {mids}", session, flags=re.MULTILINE)
    return (session + "".join(made)).replace("\n", "\r\n")


def _with_local(section: str, local: Local) -> str:
    for name, value in (
        ("ice-ufrag", local.ufrag),
        ("ice-pwd", local.password),
        ("fingerprint", f"sha-256 {local.fingerprint}"),
    ):
        section = re.sub(rf"^a={name}:.*$", f"a={name}:{value}", section, flags=re.MULTILINE)
    return section


def _with_track(section: str, track: Published) -> str:
    section = re.sub(r"^a=msid:.*$", f"a=msid:stream {track.cid}", section, flags=re.MULTILINE)
    if not track.active:
        section = re.sub(r"^a=send(only|recv)$", "a=inactive", section, flags=re.MULTILINE)
    if track.simulcast:
        return section
    section = re.sub(r"^a=(ssrc|rid|simulcast).*\n", "", section, flags=re.MULTILINE)
    ssrcs = [track.ssrc] if track.kind == "audio" else [track.ssrc, track.ssrc + 1]
    lines = [f"a=ssrc-group:FID {ssrcs[0]} {ssrcs[1]}"] if len(ssrcs) > 1 else []
    for ssrc in ssrcs:
        lines += [f"a=ssrc:{ssrc} cname:{track.cid[:16]}", f"a=ssrc:{ssrc} msid:stream {track.cid}"]
    return section + "\n".join(lines) + "\n"
