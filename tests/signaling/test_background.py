"""Work in the background: what breaks off is seen, and begun again."""

from __future__ import annotations

import asyncio

import pytest

from signaling import background
from signaling.background import keep_running


async def test_work_that_breaks_off_is_logged_and_begun_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "PAUSE", 0.0)
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise ValueError(f"fault {begun}")

    await keep_running(work, "the counting")
    assert begun == 3
    assert caplog.messages == ["the counting broke off and is begun again"] * 2
    assert "fault 2" in caplog.text


async def test_it_is_cancelled_as_any_task(caplog: pytest.LogCaptureFixture) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = keep_running(work, "the waiting")
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert caplog.messages == []
