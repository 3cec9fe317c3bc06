"""Which language a page speaks, and its texts. English stands in the templates, other languages in locales/*.po."""

from __future__ import annotations

import functools
import gettext
import io
from collections.abc import Mapping
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES = ("en", "ru")
COOKIE = "veche_locale"
PARAMETER = "lang"
LOCALES = Path(__file__).parents[1] / "locales"


def choose(query: Mapping[str, str], cookies: Mapping[str, str], accepted: str) -> str:
    """`?lang=`, then the cookie, then Accept-Language, then English."""
    for wish in (query.get(PARAMETER), cookies.get(COOKIE)):
        if wish in LANGUAGES:
            return wish
    return next((language for language in _by_weight(accepted) if language in LANGUAGES), LANGUAGES[0])


@functools.cache
def translations() -> Mapping[str, gettext.NullTranslations]:
    """The texts of every language, compiled from the catalogues once in a process."""
    found: dict[str, gettext.NullTranslations] = {}
    for language in LANGUAGES:
        path = LOCALES / f"{language}.po"
        if not path.exists():
            found[language] = gettext.NullTranslations()
            continue
        compiled = io.BytesIO()
        with path.open("rb") as file:
            write_mo(compiled, read_po(file, locale=language))
        compiled.seek(0)
        found[language] = gettext.GNUTranslations(compiled)
    return found


def _by_weight(accepted: str) -> list[str]:
    """Languages of an Accept-Language header (RFC 9110 section 12.5.4), the most wanted first, without regions."""
    weighted = []
    for position, part in enumerate(accepted[:1000].split(",")):
        name, _, parameters = part.strip().partition(";")
        try:
            weight = float(parameters.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if weight > 0:
            weighted.append((-weight, position, name.strip().lower().partition("-")[0]))
    return [name for _, _, name in sorted(weighted)]
