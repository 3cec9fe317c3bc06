"""Session descriptions as text (RFC 8866): split into lines and sections, and put together again.

A description keeps every line as it came, the unknown ones in their place, so what is read can be written back. What
the lines mean is read in `sdp_media`. Parsing raises SdpError and nothing else, whatever the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MAX_BYTES = 1536 * 1024
"""Longest description that is read. Chromium offers 580 KiB to receive a hundred sounds and a hundred pictures."""
MAX_SECTIONS = 500
"""Most sections of one description, ours included: twenty times the largest meeting that shows everybody."""
MAX_SECTION_LINES = 2000
"""Most lines of one section: ten times what a browser writes with every codec and candidate."""

TOKEN = re.compile(r"[!#-'*+\-.0-9A-Z^_`a-z{|}~]+")
"""`token` of RFC 8866 section 9."""

_PROTOCOL = r"[A-Za-z0-9.+-]+(?:/[A-Za-z0-9.+-]+)*"
_SHOWN = 60
_SECRET = ("a=ice-pwd:", "a=crypto:", "k=")
_MEDIA = re.compile(rf"m=({TOKEN.pattern}) ([0-9]{{1,5}})(?:/[0-9]{{1,5}})? ({_PROTOCOL})((?: {TOKEN.pattern})+) ?")
_BREAK = re.compile(r"[\r\n\0]")
_LINE = re.compile(r"[a-z]=[^\r\n\0]*")
_LINES = re.compile(rf"(?:{_LINE.pattern}\r\n)*+")
_ATTRIBUTE = re.compile(r"^a=([^:\r\n]*):?([^\r\n]*)", re.MULTILINE)


class SdpError(ValueError):
    """Text that is not SDP as it must be. `line` is the number of the line, 0 where no single line is at fault."""

    def __init__(self, expected: str, received: str | None = None, line: int = 0) -> None:
        """`expected` says what should be there, `received` what is; secrets among the received are not shown."""
        self.line = line
        where = f"SDP line {line}: " if line else "SDP: "
        super().__init__(where + expected + ("" if received is None else f", got {_shown(received)}"))


def _shown(text: str) -> str:
    for secret in _SECRET:
        if text.startswith(secret):
            return f"{secret}(not shown)"
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


Attributes = Mapping[str, tuple[str, ...]]
"""Attribute name to its values in order; a flag such as `a=rtcp-mux` has the value ""."""


@dataclass(frozen=True, slots=True)
class Section:
    """One media section (RFC 8866 section 5.14): the m= line taken apart, and the lines below it as they are.

    `text` is the whole section with CRLF. Two sections are equal when their text is.
    """

    text: str
    kind: str = field(compare=False)
    port: int = field(compare=False)
    protocol: str = field(compare=False)
    formats: tuple[str, ...] = field(compare=False)
    attributes: Attributes = field(compare=False, repr=False)

    def first(self, name: str) -> str | None:
        """The first value of an attribute, "" for a flag, None where it is missing."""
        values = self.attributes.get(name)
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class Description:
    """A session description: the text of its session level with CRLF, and its sections in order."""

    text: str
    attributes: Attributes = field(compare=False, repr=False)
    sections: tuple[Section, ...]


def parse(text: str, known: Mapping[str, Section] | None = None, max_bytes: int = MAX_BYTES) -> Description:
    """Reads a description; a section whose text is in `known` (text to section) is taken from there.

    Lines may end in CRLF or LF. Raises SdpError above `max_bytes` or 500 sections before anything is parsed.
    """
    if len(text) > max_bytes or (not text.isascii() and len(text.encode("utf-8", "surrogatepass")) > max_bytes):
        raise SdpError(f"expected at most {max_bytes} bytes", f"{len(text)} characters")
    count = text.count("\nm=")
    if count > MAX_SECTIONS:
        raise SdpError(f"expected at most {MAX_SECTIONS} sections", f"{count}")
    if text.count("\n") != text.count("\r\n"):
        text = text.replace("\r\n", "\n").replace("\n", "\r\n")
    session, *parts = text.removesuffix("\r\n").split("\r\nm=")
    session += "\r\n"
    _check_session(session)
    attributes = _attributes(session, 1)
    number = session.count("\n") + 1
    sections: list[Section] = []
    counted = 0  # lines are counted for what is read anew, which may be in error
    for place, part in enumerate(parts):
        section_text = f"m={part}\r\n"
        section = known.get(section_text) if known else None
        if section is None:
            number += sum(before.count("\n") + 1 for before in parts[counted:place])
            counted = place
            section = _section(section_text, number)
        sections.append(section)
    return Description(session, attributes, tuple(sections))


def write(description: Description) -> str:
    """The text of a description, as it was parsed (with CRLF) or made."""
    return description.text + "".join(section.text for section in description.sections)


def lines_to_text(lines: Iterable[str]) -> str:
    """Joins lines that we made. Raises SdpError for one that would break out of its line or is no `x=value`."""
    checked = list(lines)
    for line in checked:
        if _BREAK.search(line) or line[1:2] != "=":
            raise SdpError("expected to write one line x=value", line)
        if not line.isascii():
            raise SdpError("expected to write ASCII", line)
    return "".join(f"{line}\r\n" for line in checked)


def token(text: str, what: str, longest: int = 256) -> str:
    """Returns the text when it is a `token` of RFC 8866, else raises SdpError; `what` names it."""
    if len(text) > longest or not TOKEN.fullmatch(text):
        raise SdpError(f"expected {what} to be a token of at most {longest} characters", text)
    return text


def _check_session(text: str) -> None:
    """The lines that every description begins with (RFC 8866 section 5): v=0, o= with six fields, s=."""
    version, origin, name, *_ = [*text.split("\r\n"), "", ""]
    if version != "v=0":
        raise SdpError("expected v=0", version, 1)
    if not origin.startswith("o=") or len(origin.split(" ")) != 6:
        raise SdpError("expected o= with six fields", origin, 2)
    if not name.startswith("s="):
        raise SdpError("expected s=", name, 3)


def _attributes(text: str, number: int) -> Attributes:
    """Checks the form of each line and collects the a= lines. `number` is that of the first line."""
    if not _LINES.fullmatch(text):
        for offset, line in enumerate(text.removesuffix("\r\n").split("\r\n")):
            if not _LINE.fullmatch(line):
                raise SdpError("expected x=value without NUL or lone carriage return", line, number + offset)
    found: dict[str, list[str]] = {}
    for name, value in _ATTRIBUTE.findall(text):
        if name in found:
            found[name].append(value)
        else:
            found[name] = [value]
    return {name: tuple(values) for name, values in found.items()}


def _section(text: str, number: int) -> Section:
    if text.count("\n") > MAX_SECTION_LINES:
        raise SdpError(f"expected at most {MAX_SECTION_LINES} lines in a section", f"{text.count(chr(10))}", number)
    media = text[: text.index("\r\n")]
    fields = _MEDIA.fullmatch(media)
    if fields is None or int(fields[2]) > 65535:
        raise SdpError("expected m=<media> <port>[/<count>] <protocol> <format> ...", media, number)
    return Section(text, fields[1], int(fields[2]), fields[3], tuple(fields[4].split()), _attributes(text, number))
