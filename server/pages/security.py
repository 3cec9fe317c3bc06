"""Headers that tell a browser what our pages may do: load only from here, and nothing of theirs runs elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

FRAMED_BY_NOBODY = "frame-ancestors 'none'"
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob: mediastream:",
        "connect-src 'self'",
        "worker-src 'self' blob:",  # livekit-client's timers run in a worker made from a blob
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        FRAMED_BY_NOBODY,
    )
)
PERMISSIONS_POLICY = ", ".join(
    [f"{feature}=(self)" for feature in ("camera", "microphone", "display-capture", "autoplay", "fullscreen")]
    + [f"{feature}=(self)" for feature in ("picture-in-picture", "screen-wake-lock", "speaker-selection")]
    + [f"{feature}=()" for feature in ("geolocation", "midi", "payment", "usb", "serial")]
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": PERMISSIONS_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def framed_by(origins: Sequence[str]) -> str:
    """The policy of a page that pages of these origins may hold in an iframe, and nobody else's."""
    if not origins:
        return CONTENT_SECURITY_POLICY
    return CONTENT_SECURITY_POLICY.replace(FRAMED_BY_NOBODY, f"frame-ancestors {' '.join(origins)}")


async def protect(request: web.Request, response: web.StreamResponse) -> None:
    """Signal `on_response_prepare`: sets the headers on every answer that did not choose its own."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "veche"
