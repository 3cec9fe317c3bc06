"""Linked ends of a transport, for the tests of DTLS and of data channels."""

from collections.abc import AsyncIterator, Callable

import pytest

from tests.signaling.linked import Link, Pair


@pytest.fixture
async def pairs() -> AsyncIterator[Callable[..., Pair]]:
    made: list[Pair] = []

    def make(loss: float = 0.0, seed: int = 1, *, we_are_client: bool = False) -> Pair:
        made.append(Pair(Link(loss, seed), we_are_client=we_are_client))
        return made[-1]

    yield make
    for pair in made:
        await pair.disconnect()
