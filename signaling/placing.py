"""Our tracks on the sections of a client that always offers: a single PeerConnection (LIVEKIT.md 4.3). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from signaling import codecs as codec_choice
from signaling.answering import ReadSection
from signaling.sections import Placed, Quirks, SendingSection, SendingTrack


class Placing:
    """Which of our tracks is on which of the client's sections, and which wait for one."""

    def __init__(self, quirks: Quirks) -> None:
        self._quirks = quirks
        self._waiting: dict[str, SendingTrack] = {}
        self._placed: dict[str, SendingTrack] = {}
        self._answered: frozenset[str] = frozenset()
        self._used: set[str] = set()
        self._spare: Counter[str] = Counter()
        self._seen: set[str] = set()
        self._promised: Counter[str] = Counter()
        self._has_sections = False
        self._asked = False

    def attach(self, track: SendingTrack) -> None:
        """Wants the track sent; with a known `track_sid` it replaces that track's description."""
        for mid, placed in self._placed.items():
            if placed.track_sid == track.track_sid:
                self._placed[mid] = track
                return
        self._waiting[track.track_sid] = track

    def detach(self, track_sid: str) -> None:
        """Wants it sent no longer; an unknown one is ignored."""
        self._waiting.pop(track_sid, None)
        self._placed = {mid: track for mid, track in self._placed.items() if track.track_sid != track_sid}

    @property
    def needs_sections(self) -> bool:
        """The client is to be asked for an offer, and has not been since its last one.

        It learns of what is gone by an answer alone, too: without one, what it gave up seems to go on.
        """
        gone = any(mid not in self._placed for mid in self._answered)
        return self._has_sections and not self._asked and (gone or bool(self._waiting))

    @property
    def awaits_sections(self) -> bool:
        """The client was asked for sections that it has not offered yet."""
        return bool(self._promised)

    def ask(self) -> tuple[int, int]:
        """How many audio and video sections are missing; (0, 0) where an offer of those there are will do."""
        self._asked = True
        missing = self._missing()
        self._promised += missing
        return missing["audio"], missing["video"]

    def _missing(self) -> Counter[str]:
        """Sections that are neither there nor on their way."""
        return Counter(track.kind for track in self._waiting.values()) - self._spare - self._promised

    def forget_asked(self) -> None:
        """What was asked may not have come: it is to be asked again."""
        self._asked = False
        self._promised.clear()

    def place(self, sections: Iterable[ReadSection]) -> tuple[dict[str, Placed], tuple[SendingSection, ...]]:
        """Puts tracks on the sections of the client's offer; by mid what is on them, and what becomes of each track.

        A section that a track has left is inactive in one answer before another track gets it, so that the client
        sees the one end and the other begin.
        """
        open_sections = {read.mid: read for read in sections if read.receives}
        # What was on a section that the client has closed is sent no longer; it may be attached again.
        self._placed = {mid: track for mid, track in self._placed.items() if mid in open_sections}
        found: dict[str, Placed] = {}
        outcome: list[SendingSection] = []
        for mid, track in self._placed.items():
            found[mid] = self._describe(track, open_sections[mid])
        for read in open_sections.values():
            if read.mid not in self._placed and self._is_free(read.mid):
                track_or_none = self._next(read)
                if track_or_none is None:
                    continue
                described = self._describe(track_or_none, read)
                del self._waiting[track_or_none.track_sid]
                if not described.codecs:
                    outcome.append(SendingSection(read.mid, track_or_none.track_sid, (), (), False))
                    continue
                self._placed[read.mid] = track_or_none
                found[read.mid] = described
        outcome += [
            SendingSection(mid, placed.track.track_sid, placed.codecs, placed.extensions, True)
            for mid, placed in found.items()
        ]
        self._answered = frozenset(found)
        self._used |= self._answered
        free = (read for read in open_sections.values() if read.mid not in found and self._is_free(read.mid))
        self._spare = Counter(read.section.kind for read in free)
        fresh = [read for read in open_sections.values() if read.mid not in self._seen]
        self._seen.update(open_sections)
        self._promised -= Counter(read.section.kind for read in fresh)
        self._has_sections = True
        # An offer that crossed the request for sections comes without them: they will be in the next.
        self._asked = bool(self._promised) and not self._missing()
        return found, tuple(outcome)

    def _is_free(self, mid: str) -> bool:
        return mid not in self._answered and (self._quirks.reuses_sections or mid not in self._used)

    def _next(self, read: ReadSection) -> SendingTrack | None:
        return next((track for track in self._waiting.values() if track.kind == read.section.kind), None)

    def _describe(self, track: SendingTrack, read: ReadSection) -> Placed:
        media = read.media
        assert media is not None, "a section that receives is a media section"
        ours = {extension.uri for extension in codec_choice.SENT_EXTENSIONS[track.kind]}
        extensions = tuple(extension for extension in media.extensions if extension.uri in ours)
        return Placed(track, codec_choice.placed(track, media.codecs, self._quirks), extensions)
