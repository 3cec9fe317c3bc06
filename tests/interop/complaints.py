"""What LiveKit's SDKs may complain of while they use our server: everything else that they log as a warning fails."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

Reasons = tuple[tuple[str, str], ...]
"""Patterns of lines, each with why it is right that an SDK says it."""

ALWAYS: Reasons = (
    (
        r"Attempted to drop unknown FFI handle",
        "Python drops what is left of a room after its core has dropped the room with all that is in it",
    ),
    (
        r"peer connection is closed, cannot create offer|failed to negotiate the publisher: .*closed",
        "who leaves unpublishes tracks, or a track has just gone: the offer comes due when the connection is closed",
    ),
    (
        r"Failed to decrypt data packet",
        "who has a wrong key gets what others encrypt, and cannot read it",
    ),
    (
        r"native video stream queue overflow",
        "the test's own event loop reads pictures more slowly than they come, on a loaded machine",
    ),
)

WHERE_CUT: Reasons = (
    (
        r"received session close: .*(stream closed|ping timeout|server request to leave)"
        r"|(resuming|restarting) connection\.\.\."
        r"|websocket recv error: .*reset by peer",
        "so the SDK tells that it lost its signalling, and each time that it tries again",
    ),
    (
        r"(resuming|restarting) connection failed|signal connection failed on v\d path",
        "the test cuts the resume too, or has forgotten the session, or the server is not there yet",
    ),
    (
        r"dropping pass-through signal: no confirmed transport",
        "candidates found while there is no signalling; the server needs none of them",
    ),
    (
        r"401 Unauthorized|Handshake \{ status: 401 \}",
        "who was removed comes back with a token that was revoked",
    ),
    (
        r"403 Forbidden - (the room is locked|a host has removed you)",
        "who is kept out, or comes to a locked room, is told so",
    ),
    (
        r"Wrong packet sequence while retrying",
        "what it has handed to SCTP it does not send again, and SCTP delivers it: the tests miss nothing",
    ),
    (
        r"publisher data channel '_\w+' closed unexpectedly",
        "a session that the server ends, or knows nothing of any more, ends with its data channels",
    ),
)
"""In tests marked `cuts`."""

OF_GO: Reasons = (
    (
        r'"logger":"pion\.',
        "Pion, which is under the SDK, warns of all that has begun or is on its way when a connection begins or ends;"
        " what is missed by it fails the test by its outcome",
    ),
    (
        r'"resume connection failed"',
        "the test has the server forget the session: the next attempt joins anew",
    ),
)
"""Of the Go SDK."""

OF_AGENTS: Reasons = (
    (
        r"^dev mode is deprecated",
        "started for production, as it wants, a worker takes no job while its machine is busy with other tests",
    ),
    (
        r"event loop blocked for|job executor is unresponsive|no warmed process|waiting for idle processes",
        "its threads wait for the processor, on a loaded machine; what is late fails the test by its outcome",
    ),
)
"""Of the agents framework."""


class Complaints(logging.Handler):
    """Keeps what the Python SDK, and the Rust core under it, log as a warning or worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: list[str] = []
        self._cut_before = False

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(f"{record.levelname} {record.getMessage()}")

    def take(self, *, cut: bool) -> list[str]:
        """What came since last asked and nobody explained; `cut` is whether the test was to cut something."""
        lines, self._lines = self._lines, []
        # The core hands its lines over up to a second late: those of one test may come in the next.
        either, self._cut_before = cut or self._cut_before, cut
        return unexplained(lines, cut=either)


def unexplained(lines: Iterable[str], *, cut: bool = False, also: Reasons = ()) -> list[str]:
    """Lines that no reason explains; `also` are reasons of one SDK."""
    reasons = (ALWAYS + WHERE_CUT if cut else ALWAYS) + also
    return [line for line in lines if not any(re.search(pattern, line) for pattern, _ in reasons)]
