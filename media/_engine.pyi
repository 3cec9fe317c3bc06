from collections.abc import Sequence

from media.commands import Command
from media.events import Event

class Engine:
    """The shards, their threads and their UDP port.

    `addresses` are IP literals to bind, each on `udp_port` (0 picks a free one); `shards` is the number of media
    threads; `idle_timeout` in seconds ends a silent transport. Raises OSError where the port is taken.
    """

    def __init__(self, addresses: Sequence[str], udp_port: int, shards: int, idle_timeout: float) -> None: ...
    @property
    def udp_port(self) -> int: ...
    @property
    def shards(self) -> int: ...
    def fileno(self) -> int:
        """An eventfd that is readable while events wait."""

    def submit(self, commands: Sequence[Command]) -> None:
        """Hands commands over in order. Raises ValueError, naming field and value, before any of them is taken."""

    def drain(self) -> list[Event]:
        """Takes all waiting events and clears the descriptor."""

    def counters(self) -> dict[str, int]:
        """Totals over all shards since the start: datagrams and bytes in and out, drops by reason, events lost."""

    def close(self) -> None:
        """Stops the threads and frees the port; safe to call twice."""
