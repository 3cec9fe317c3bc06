"""Turns: a few of one network at a time, in their order, and nobody waits for another network."""

from __future__ import annotations

import asyncio

from server.turns import Turns


async def test_a_few_of_a_network_are_served_at_once_in_the_order_in_which_they_came() -> None:
    turns, inside, served = Turns(2, 10), set[int](), list[int]()

    async def come(number: int) -> None:
        async with turns.one("192.0.2.1"):
            inside.add(number)
            assert len(inside) <= 2
            served.append(number)
            await asyncio.sleep(0)
            inside.discard(number)

    await asyncio.gather(*(come(number) for number in range(8)))
    assert served == list(range(8))
    assert not turns._queues


async def test_networks_do_not_wait_for_each_other_and_a_household_is_one() -> None:
    turns, leave, came = Turns(1, 10), asyncio.Event(), list[str]()

    async def come(address: str) -> None:
        async with turns.one(address):
            came.append(address)
            await leave.wait()

    async with asyncio.TaskGroup() as group:
        for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "192.0.2.1"):
            group.create_task(come(address))
        await asyncio.sleep(0)
        assert came == ["2001:db8::1", "2001:db8:0:1::1", "192.0.2.1"]
        leave.set()
    assert came[-1] == "2001:db8::2"


async def test_so_many_wait_and_whoever_gives_up_makes_room() -> None:
    turns, leave = Turns(1, 2), asyncio.Event()

    async def come() -> None:
        async with turns.one("192.0.2.1"):
            await leave.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(come())
        waiting = group.create_task(come())
        await asyncio.sleep(0)
        assert turns.are_taken("192.0.2.1")
        assert not turns.are_taken("192.0.2.2")
        waiting.cancel()
        await asyncio.sleep(0)
        assert not turns.are_taken("192.0.2.1")
        leave.set()
    assert not turns._queues
