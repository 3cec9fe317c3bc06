"""A meeting's code and passcode: what people read out, type and paste. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

ALPHABET = "bcdfghjkmnpqrstvwxyz"
"""No i, l, o, which look like others, and no a, e, u, so that no words come out."""
GROUP = 4
GROUPS = 3
"""12 letters of 20 are 51 bits: at 20 wrong guesses a minute none is found by chance."""

EXAMPLE = "bcdf-ghjk-mnpq"

_LINK = re.compile(r"/m/([^/?#]+)")
_SEPARATORS = re.compile(r"[\s\-–—_.]+")


def new(choose: Callable[[Sequence[str]], str]) -> str:
    """A code like `bcdf-ghjk-mnpq`; `choose` picks one of a sequence, by chance that nobody can foresee."""
    return _grouped("".join(choose(ALPHABET) for _ in range(GROUP * GROUPS)))


def new_passcode(choose: Callable[[Sequence[str]], str]) -> str:
    """Six digits: as many as people expect, and a million is far more than `attempts` lets anybody try."""
    return "".join(choose("0123456789") for _ in range(6))


def read(text: str) -> str | None:
    """The code in what a person typed or pasted, a link included, in its usual form; None where there is none."""
    link = _LINK.search(text)
    letters = _SEPARATORS.sub("", link.group(1) if link else text).lower()
    if len(letters) != GROUP * GROUPS or not set(letters) <= set(ALPHABET):
        return None
    return _grouped(letters)


def _grouped(letters: str) -> str:
    return "-".join(letters[start : start + GROUP] for start in range(0, len(letters), GROUP))
