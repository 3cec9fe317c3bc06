"""The negotiation of one PeerConnection as the server sees it (RFC 9429, RFC 3264): offers and answers in SDP.

One `Negotiation` belongs to one transport. The client may offer sections on which it publishes (`read_offer`,
`answer`), and we may offer sections on which we send (`attach`, `make_offer`, `handle_answer`). Where there is a single
PeerConnection only the client offers: what is attached goes on sections of its offers, and `ask` says what it lacks.
Pure: credentials, numbers and SSRCs are passed in, and what is to be done comes back as data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from media.commands import Extension
from signaling import sdp_media
from signaling.answering import ReadSection, answer_text, answered, check_bundle, read_section
from signaling.codecs import sent
from signaling.offering import OfferedSection, application_text, check_track, offer_text, read_answer
from signaling.placing import Placing
from signaling.sdp import MAX_SECTIONS, Description, SdpError, Section, lines_to_text, parse
from signaling.sdp_lines import session_lines
from signaling.sections import (
    Accepted,
    Answer,
    Candidate,
    EnabledCodecs,
    Fingerprint,
    LocalParameters,
    Offer,
    Offered,
    Quirks,
    ReceivingSection,
    RemoteParameters,
    SectionWishes,
    SendingSection,
    SendingTrack,
)

__all__ = [
    "Accepted",
    "Answer",
    "Candidate",
    "EnabledCodecs",
    "Fingerprint",
    "LocalParameters",
    "Negotiation",
    "Offer",
    "Offered",
    "Quirks",
    "ReceivingSection",
    "RemoteParameters",
    "SectionWishes",
    "SendingSection",
    "SendingTrack",
]

_DEFAULT_WISHES = SectionWishes()
_DATA_MID = "0"


@dataclass(frozen=True, slots=True)
class _ReadOffer:
    """An offer of the client's between `read_offer` and `answer`."""

    offered: Offered
    description: Description
    sections: tuple[ReadSection, ...]
    bundle: tuple[str, ...]
    extensions: tuple[Extension, ...]


class Negotiation:
    """State of one PeerConnection.

    `session_id` (0..2^62) is the number in the o= line; `application`: our offers carry a data section; `single`: only
    the client offers.
    """

    def __init__(
        self,
        local: LocalParameters,
        codecs: EnabledCodecs,
        quirks: Quirks,
        *,
        session_id: int,
        first_offer_id: int = 1,
        application: bool = True,
        single: bool = False,
    ) -> None:
        self._local = local
        self._placing = Placing(quirks) if single else None
        self._codecs = codecs
        self._quirks = quirks
        self._session_id = session_id
        self._version = 0
        self._remote: RemoteParameters | None = None
        # The client's descriptions: sections by their text, so that what did not change is not read again.
        self._known: dict[str, Section] = {}
        # The client's offers.
        self._read_sections: dict[tuple[str, str], ReadSection] = {}
        self._read: _ReadOffer | None = None
        self._client_sections = 0
        self._active: frozenset[str] = frozenset()
        self._answer_texts: dict[str, tuple[object, str]] = {}
        # Our offers.
        self._application = application
        self._offer_id = first_offer_id - 1
        self._outstanding = False
        self._offered_once = False
        self._next_mid = 1 if application else 0
        self._waiting: dict[str, SendingTrack] = {}
        self._sections: list[OfferedSection] = []
        self._data_text = ""
        self._first_mid = ""

    # The client offers.

    def read_offer(self, sdp: str) -> Offered:
        """Reads a client's offer and changes nothing. Raises SdpError; the session may go on after it."""
        description = parse(sdp, self._known)
        if len(description.sections) < max(1, self._client_sections):
            expected = f"expected at least {max(1, self._client_sections)} sections, as many as before"
            raise SdpError(expected, f"{len(description.sections)}")
        default = sdp_media.session_direction(description)
        sections = [self._read_section(section, default) for section in description.sections]
        mids = tuple(read.mid for read in sections)
        if len(set(mids)) != len(mids):
            twice = next(mid for mid in mids if mids.count(mid) > 1)
            raise SdpError("expected each mid once", twice)
        bundle = sdp_media.bundled(description, mids)
        data = [read.mid for read in sections if read.application and read.mid in bundle]
        for index, read in enumerate(sections):
            if read.in_use and (read.mid not in bundle or (read.application and read.mid != data[0])):
                sections[index] = _unused(read)
        extensions = check_bundle(sections)
        in_use = tuple(read for read in sections if read.in_use)
        remote = self._client_parameters(description, in_use)
        media = tuple(read.media for read in sections if read.media is not None)
        active = frozenset(section.mid for section in media if section.active)
        offered = Offered(
            remote=remote,
            ice_restarted=self._remote is not None
            and (remote.ufrag, remote.pwd) != (self._remote.ufrag, self._remote.pwd),
            sections=media,
            ended=tuple(sorted(self._active - active)),
            application=bool(data),
        )
        bundled = tuple(read.mid for read in in_use)
        self._read = _ReadOffer(offered, description, tuple(sections), bundled, extensions)
        return offered

    def _read_section(self, section: Section, default: str) -> ReadSection:
        key = (default, section.text)
        read = self._read_sections.get(key)
        if read is None:
            read = read_section(section, default, self._codecs)
        return read

    def _client_parameters(self, description: Description, in_use: tuple[ReadSection, ...]) -> RemoteParameters:
        if not in_use:
            if self._remote is None:
                raise SdpError("expected a section that can be used, with a port, rtcp-mux and a codec we know")
            return self._remote
        remote = sdp_media.remote_parameters(description, in_use[0].section)
        if remote.setup == "passive":
            raise SdpError("expected an offer with setup:actpass or active", remote.setup)
        return replace(remote, setup="active")

    def answer(
        self, offered: Offered, wishes: Mapping[str, SectionWishes], new_local: LocalParameters | None = None
    ) -> Answer:
        """Answers the offer read last. `wishes` by mid; `new_local` is needed when `ice_restarted` (RFC 8839 4.4.1).

        Raises ValueError when `offered` is not the last one read, or without `new_local` at a restart.
        """
        read = self._read
        if read is None or read.offered is not offered:
            raise ValueError("expected the offer that was read last")
        if offered.ice_restarted and new_local is None:
            raise ValueError("expected new local parameters: the client restarts ICE")
        self._local = new_local or self._local
        self._read = None
        self._remote = offered.remote
        self._client_sections = len(read.sections)
        self._active = frozenset(section.mid for section in offered.sections if section.active)
        self._known = {section.text: section for section in read.description.sections}
        default = sdp_media.session_direction(read.description)
        self._read_sections = {(default, known.section.text): known for known in read.sections if known.in_use}
        self._version += 1
        mixed = "extmap-allow-mixed" in read.description.attributes
        texts = [lines_to_text(session_lines(self._session_id, self._version, read.bundle, mixed=mixed))]
        placed, sending = self._placing.place(read.sections) if self._placing else ({}, ())
        answer_texts: dict[str, tuple[object, str]] = {}
        sections: list[ReceivingSection] = []
        for section in read.sections:
            media = section.media
            if media is not None:
                media = answered(media, wishes.get(section.mid, _DEFAULT_WISHES), self._quirks)
                sections.append(media)
            first = section.mid == next(iter(read.bundle), None)
            ours = placed.get(section.mid)
            key = (section, media, self._local, first, ours)
            made = self._answer_texts.get(section.mid)
            if made is None or made[0] != key:
                made = (key, answer_text(section, media, self._local, first=first, placed=ours))
            answer_texts[section.mid] = made
            texts.append(made[1])
        self._answer_texts = answer_texts
        return Answer(
            sdp="".join(texts),
            remote=offered.remote,
            ice_restarted=offered.ice_restarted,
            sections=tuple(sections),
            ended=offered.ended,
            application=offered.application,
            extensions=read.extensions,
            sending=sending,
        )

    @property
    def needs_sections(self) -> bool:
        """The client is to be asked for an offer: tracks wait for a section of it."""
        return self._placing is not None and self._placing.needs_sections

    @property
    def awaits_sections(self) -> bool:
        """The client was asked for sections that it has not offered yet."""
        return self._placing is not None and self._placing.awaits_sections

    def ask(self) -> tuple[int, int]:
        """How many audio and video sections the client must add to its next offer; (0, 0) where it has enough."""
        assert self._placing is not None, "only a client with a single PeerConnection is asked"
        return self._placing.ask()

    def forget_asked(self) -> None:
        """The client may not have heard what it was asked."""
        if self._placing is not None:
            self._placing.forget_asked()

    # We send.

    def attach(self, track: SendingTrack) -> None:
        """Wants the track sent with the next offer; with a known `track_sid` it replaces that track's description.

        Raises SdpError when an id can't be written into SDP, when we can send none of its codecs, or when all 500
        sections are in use.
        """
        check_track(track)
        codecs = sent(track, self._quirks)
        if not codecs:
            raise SdpError("expected a codec that can be sent", ", ".join(codec.mime for codec in track.codecs))
        if self._placing is not None:
            self._placing.attach(track)
            return
        for section in self._sections:
            if section.track is not None and section.track.track_sid == track.track_sid:
                section.track, section.codecs = track, codecs
                return
        if track.track_sid not in self._waiting and self._places(track.kind) <= 0:
            raise SdpError(f"expected a free section among {MAX_SECTIONS}")
        self._waiting[track.track_sid] = track

    def _places(self, kind: str) -> int:
        """Sections that are left for a further track of this kind."""
        unmade = MAX_SECTIONS - int(self._application) - len(self._sections)
        free = {"audio": 0, "video": 0}
        for section in self._sections:
            free[section.kind] += section.free
        for track in self._waiting.values():
            if free[track.kind]:
                free[track.kind] -= 1
            else:
                unmade -= 1
        return unmade + free[kind]

    def detach(self, track_sid: str) -> None:
        """Ends the sending of a track with the next offer; an unknown one is ignored."""
        if self._placing is not None:
            self._placing.detach(track_sid)
        self._waiting.pop(track_sid, None)
        for section in self._sections:
            if section.track is not None and section.track.track_sid == track_sid:
                section.track = None

    @property
    def needs_offer(self) -> bool:
        """Something is to be offered and no offer waits for its answer."""
        if self._outstanding:
            return False
        first = self._application and not self._offered_once
        return first or bool(self._waiting) or any(section.changed for section in self._sections)

    @property
    def offer_outstanding(self) -> bool:
        """An offer of ours waits for its answer."""
        return self._outstanding

    def make_offer(self, new_local: LocalParameters | None = None) -> Offer:
        """Offers all that is attached; `new_local` restarts ICE. It replaces an offer that still waits for its answer.

        The very first offer can be made without tracks: it opens the data section.
        """
        if new_local is not None:
            self._local = new_local
            self._data_text = ""
            for section in self._sections:
                section.text = ""
        self._place_waiting()
        media = (section.mid for section in self._sections if not section.rejected)
        first = _DATA_MID if self._application else next(media, "")
        moved = first != self._first_mid
        self._first_mid = first
        texts: list[str] = []
        mids: list[str] = []
        if self._application:
            self._data_text = self._data_text or application_text(_DATA_MID, self._local)
            texts.append(self._data_text)
            mids.append(_DATA_MID)
        for section in self._sections:
            if section.changed or moved or not section.text:
                section.text = offer_text(section, self._local, first=section.mid == first)
                section.offered, section.offered_codecs = section.track, section.codecs
                section.accepted = None
            texts.append(section.text)
            if not section.rejected:
                mids.append(section.mid)
        self._version += 1
        self._offer_id += 1
        self._outstanding = self._offered_once = True
        session = lines_to_text(session_lines(self._session_id, self._version, mids, mixed=True))
        tracks = {section.mid: section.track.track_sid for section in self._sections if section.track is not None}
        return Offer(session + "".join(texts), self._offer_id, tracks)

    def _place_waiting(self) -> None:
        """Gives each waiting track a section: a free one of its kind where the client allows it, else a new one."""
        for track in self._waiting.values():
            codecs = sent(track, self._quirks)
            section = self._free_section(track.kind)
            if section is None:
                self._sections.append(OfferedSection(self._new_mid(), track.kind, codecs, track))
                continue
            if section.rejected:  # the client has stopped it for good: its place is taken by a new one (RFC 9429 5.2.2)
                section.mid, section.rejected = self._new_mid(), False
            section.track, section.codecs = track, codecs
        self._waiting.clear()

    def _free_section(self, kind: str) -> OfferedSection | None:
        full = len(self._sections) + int(self._application) >= MAX_SECTIONS
        for section in self._sections:
            if section.kind == kind and section.free and (section.rejected or self._quirks.reuses_sections or full):
                return section
        return None

    def _new_mid(self) -> str:
        self._next_mid += 1
        return str(self._next_mid - 1)

    def handle_answer(self, sdp: str, offer_id: int = 0) -> Accepted | None:
        """Takes the answer to the outstanding offer; None when none is outstanding or `offer_id` is another (0 is any).

        Raises SdpError; the offer is then still outstanding.
        """
        if not self._outstanding or offer_id not in (0, self._offer_id):
            return None
        mids = (*((_DATA_MID,) if self._application else ()), *(ours.mid for ours in self._sections))
        description = parse(sdp, self._known)
        if len(description.sections) != len(mids):
            raise SdpError(f"expected an answer with the offer's {len(mids)} sections", f"{len(description.sections)}")
        for section, mid in zip(description.sections, mids, strict=True):
            if section.port and section.first("mid") != mid:
                raise SdpError(f"expected the answer to have mid {mid} in its place", section.first("mid"))
        remote = self._answerer_parameters(description)
        default = sdp_media.session_direction(description)
        media = description.sections[1:] if self._application else description.sections
        sending = [
            read_answer(section, default, ours, ours.offered)
            for section, ours in zip(media, self._sections, strict=True)
            # What was detached since is not said to be accepted: its track may be attached again, under other SSRCs.
            if ours.offered is not None and ours.track is not None
        ]
        for section, ours in zip(media, self._sections, strict=True):
            rejected = sdp_media.is_rejected(section)
            if rejected != ours.rejected:
                ours.rejected, ours.text = rejected, ""
            ours.answered = ours.offered
        application = self._application and not sdp_media.is_rejected(description.sections[0])
        ice_restarted = self._remote is not None and (remote.ufrag, remote.pwd) != (
            self._remote.ufrag,
            self._remote.pwd,
        )
        self._remote = remote
        self._outstanding = False
        self._known = {section.text: section for section in description.sections}
        return Accepted(remote, ice_restarted, tuple(sending), application)

    def _answerer_parameters(self, description: Description) -> RemoteParameters:
        """The client's parameters by the first section that it did not reject."""
        used = next((section for section in description.sections if not sdp_media.is_rejected(section)), None)
        if used is None:
            raise SdpError("expected an answer that accepts a section")
        remote = sdp_media.remote_parameters(description, used)
        if remote.setup not in ("active", "passive"):
            raise SdpError("expected an answer with setup:active or passive", remote.setup)
        return remote


def _unused(read: ReadSection) -> ReadSection:
    """A section that is not on our transport: it is rejected."""
    media = read.media
    if media is not None:
        media = replace(media, active=False, codecs=(), layers=(), streams=(), extensions=())
    return replace(read, in_use=False, media=media)
