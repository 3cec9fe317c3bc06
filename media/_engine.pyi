from collections.abc import Sequence
from typing import final

from media.commands import Command
from media.events import Event

__all__ = ["Engine"]

@final
class Engine:
    """The shards, their threads and their ports.

    `addresses` are IP literals to bind, each on `udp_port` (0 picks a free one); a wildcard takes the place of all
    others of its family. On `tcp_port` of the same addresses it takes connections of clients that no UDP reaches
    (passive ICE-TCP, RFC 6544); 0 picks a free one, None is none. `shards` is the number of media threads, 1 to 256;
    `idle_timeout` in seconds ends a silent transport. Raises ValueError, naming the argument, and OSError where an
    address can't be bound: errno EADDRINUSE where another server has the port.
    """

    def __new__(
        cls, addresses: Sequence[str], udp_port: int, shards: int, idle_timeout: float, tcp_port: int | None = None
    ) -> Engine: ...
    @property
    def udp_port(self) -> int:
        """The port that was bound."""

    @property
    def tcp_port(self) -> int | None:
        """The port on which it takes connections, where it does."""

    @property
    def shards(self) -> int:
        """The number of media threads."""

    def fileno(self) -> int:
        """An eventfd that is readable while events wait; open until the engine itself is gone."""

    def submit(self, commands: Sequence[Command]) -> None:
        """Hands commands over in order.

        Raises ValueError, naming field and value, or TypeError for what is no command, before any of them is taken;
        RuntimeError once the engine is closed.
        """

    def drain(self) -> list[Event]:
        """Takes all waiting events and clears the descriptor."""

    def counters(self) -> dict[str, int]:
        """Totals over all shards since the start: datagrams and bytes in and out, drops by reason, events lost."""

    def forward_latency(self) -> tuple[list[int], list[int], int]:
        """How long media packets spent in the server since the start, in nanoseconds, over all shards.

        The upper ends of the buckets, the samples in each (one more: the last has no upper end) and the sum of all. A
        sample is one packet of each batch that leaves, from the read that brought it to the end of the call that sent
        it: what the pacer holds back is in it, what waits in the kernel is not, nor is what is sent again.
        """

    def close(self) -> None:
        """Stops the threads and frees the ports; safe to call twice. Events that wait can still be drained."""

    def _panic_shard(self, shard: int) -> None:
        """Makes a shard panic, so that tests see what follows. Raises ValueError where there is no such shard."""
