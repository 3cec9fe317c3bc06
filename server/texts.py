"""Names, titles and other texts that people type: what is kept of them, and what is refused. Pure."""

from __future__ import annotations

import unicodedata

TITLE_LENGTH = 200
NAME_LENGTH = 64
"""Characters: a tile shows about thirty."""
DESCRIPTION_LENGTH = 4000
"""Characters."""
MESSAGE_LENGTH = 500
"""Characters of what hosts say to those who wait."""


class WrongInput(Exception):
    """A field that can't be taken; the text says what was received and what is expected."""


def clean_name(name: str) -> str:
    """A name as it is shown: white space joined, control and direction characters gone. Raises WrongInput."""
    return _clean("name", name, NAME_LENGTH, least=1)


def clean_title(title: str) -> str:
    """A title as it is shown; may be empty. Raises WrongInput."""
    return _clean("title", title, TITLE_LENGTH, least=0)


def clean_description(text: str) -> str:
    """Some paragraphs as they are shown; may be empty. Raises WrongInput."""
    lines = [_printable(line) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    cleaned = "\n".join(line.rstrip() for line in lines).strip()
    if len(cleaned) > DESCRIPTION_LENGTH:
        raise WrongInput(f"description: got {len(cleaned)} characters, takes 0 to {DESCRIPTION_LENGTH}")
    return cleaned


def clean_message(text: str) -> str:
    """What hosts say to those who wait; may be empty. Raises WrongInput."""
    return _clean("text", text, MESSAGE_LENGTH, least=0)


def _clean(field: str, text: str, most: int, *, least: int) -> str:
    cleaned = " ".join(_printable(text).split())
    if not least <= len(cleaned) <= most:
        raise WrongInput(f"{field}: got {len(cleaned)} characters, takes {least} to {most}")
    return cleaned


def _printable(text: str) -> str:
    kept = "".join(" " if character.isspace() else character for character in text)
    # Cc, Cf, Cs: control, format (bidirectional overrides among them) and surrogates; joiners of emoji stay.
    kept = "".join(c for c in kept if c == "\u200d" or unicodedata.category(c) not in {"Cc", "Cf", "Cs"})
    return unicodedata.normalize("NFC", kept)
