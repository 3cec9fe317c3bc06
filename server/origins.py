"""Origins of other sites (RFC 6454), as browsers write them, to be named in a header and compared. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

MOST_ORIGINS = 20
"""Sites that one meeting names: each stands in a header of its page."""
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
_LOCAL = ("localhost", "127.0.0.1")
_PORTS = {"https": 443, "http": 80}
_TAKEN = "takes https://host or https://host:port; http:// only of localhost, as elsewhere browsers give no camera"


def clean_origin(text: str) -> str:
    """An origin in the form that browsers give it. Raises ValueError saying what was received and what is taken."""
    text = text.strip()
    wrong = ValueError(f"got {text[:80]!r}, {_TAKEN}")
    try:
        parts = urlsplit(text)
        # Browsers write names of other scripts by their ASCII form.
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError:  # UnicodeError among them
        raise wrong from None
    is_bare = parts.path in ("", "/") and not parts.query and not parts.fragment and "@" not in parts.netloc
    if parts.scheme not in _PORTS or not is_bare or not _HOST.fullmatch(host) or port == 0:
        raise wrong
    if parts.scheme == "http" and host not in _LOCAL:
        raise wrong
    shown = "" if port is None or port == _PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{host}{shown}"


def clean_origins(texts: Sequence[str]) -> tuple[str, ...]:
    """Each once, in their order. Raises ValueError."""
    found = tuple(dict.fromkeys(clean_origin(text) for text in texts))
    if len(found) > MOST_ORIGINS:
        raise ValueError(f"got {len(found)} origins, takes {MOST_ORIGINS}")
    return found
