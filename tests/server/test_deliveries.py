"""Deliveries: signed, again after failures and restarts, by one of several nodes, for a day, only where they may go."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web
from argon2 import PasswordHasher
from sqlalchemy import select

from server import happenings, subscriptions
from server.accounts import Accounts, clean_role
from server.api.requests import Callers
from server.database import Database, DeliveryRow
from server.deliveries import Deliveries, Pace
from server.happenings import Happening
from server.letters import Letters
from server.mail import Mail
from server.meetings import MeetingDraft, Meetings
from server.members import Members
from server.pages.assets import Assets
from server.pages.rendering import Renderer
from server.passwords import Passwords
from server.planning import Planning
from server.subscriptions import DeliveryNotFound, SubscriptionNotFound, Subscriptions
from server.texts import WrongInput
from server.webhook_letters import WebhookLetters
from tests.application import DEADLINE
from tests.server.mail_server import mail_server
from tests.server.subscriber import subscriber
from tests.server.test_invitations import text_of

QUICK = Pace(poll=0.05, haste=0.001, farewell=0.2)
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
START = datetime.datetime(2030, 1, 1, 12, 0, tzinfo=datetime.UTC)


class Bench:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.subscriptions = Subscriptions(database, LOOPBACK)
        self.now = START

    @asynccontextmanager
    async def running(self, pace: Pace = QUICK) -> AsyncIterator[Deliveries]:
        made = Deliveries(self.database, LOOPBACK, pace, lambda: self.now)
        await made.start()
        try:
            yield made
        finally:
            await made.close()

    async def settled(self, subscription: str) -> list[str]:
        """Waits until nothing is on its way; how each message ended, the newest first."""
        async with asyncio.timeout(DEADLINE):
            while True:
                log = await self.subscriptions.deliveries(subscription)
                if log and all(one.status != "waiting" for one in log):
                    return [one.status for one in log]
                # What is due later is due in thousandths of its usual time, by a clock that stands still.
                self.now += datetime.timedelta(seconds=1)
                await asyncio.sleep(0.01)


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database)


def joined(number: int = 1) -> Happening:
    return Happening(
        "participant.joined", START, {"identity": f"guest-{number}"}, {"id": "MT_1"}, {"id": "OC_1"}, number
    )


async def test_a_subscriber_is_told_and_can_verify_it(bench: Bench) -> None:
    async with subscriber() as other, bench.running() as sending:
        made, secret = await bench.subscriptions.create(other.url, [], START)
        await sending.tell(joined())
        await other.has(1)
        ((headers, text),) = other.requests
        assert headers["Content-Type"] == "application/json"
        said = json.loads(text)
        assert (said["type"], said["data"], said["id"]) == (
            "participant.joined",
            {"identity": "guest-1"},
            headers["webhook-id"],
        )
        stamp = int(headers["webhook-timestamp"])
        assert abs(time.time() - stamp) < 60
        assert (
            headers["webhook-signature"] == happenings.headers(said["id"], text, [secret], stamp)["webhook-signature"]
        )
        assert await bench.settled(made.id) == ["delivered"]
        (one,) = await bench.subscriptions.deliveries(made.id)
        assert (one.attempts, one.answer, one.event_id, one.body) == (1, "HTTP 200", said["id"], text)


async def test_only_what_is_wanted_is_told(bench: Bench) -> None:
    async with subscriber() as some, subscriber() as everything, bench.running() as sending:
        await bench.subscriptions.create(some.url, ["host.left", "occurrence.ended"], START)
        await bench.subscriptions.create(everything.url, [], START)
        for kind in ("occurrence.started", "host.left", "occurrence.ended"):
            await sending.tell(Happening(kind, START))
        await some.has(2)
        await everything.has(3)
        assert sorted(some.types) == ["host.left", "occurrence.ended"]
    with pytest.raises(WrongInput, match="'room_started'"):
        await bench.subscriptions.create(some.url, ["room_started"], START)


async def test_who_does_not_take_it_is_told_again(bench: Bench) -> None:
    async with subscriber() as other, bench.running() as sending:
        other.answers = [500, 404, 302]
        made, _ = await bench.subscriptions.create(other.url, [], START)
        await sending.tell(joined())
        assert await bench.settled(made.id) == ["delivered"]
        ids = {headers["webhook-id"] for headers, _ in other.requests}
        assert (len(other.requests), len(ids)) == (4, 1)
        (one,) = await bench.subscriptions.deliveries(made.id)
        assert one.attempts == 4
        assert (await bench.subscriptions.get(made.id)).failing_since is None


async def test_who_does_not_answer_in_time_is_told_again(bench: Bench) -> None:
    forgotten = asyncio.Event()

    async def silent(_: web.Request) -> web.StreamResponse:
        await forgotten.wait()
        return web.Response()

    async with subscriber() as other, bench.running(replace(QUICK, timeout=0.2, haste=1000.0)) as sending:
        other.answers = [silent]
        made, _ = await bench.subscriptions.create(other.url, [], START)
        await sending.tell(joined())
        async with asyncio.timeout(DEADLINE):
            while not (log := await bench.subscriptions.deliveries(made.id)) or not log[0].attempts:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        forgotten.set()
    assert (log[0].status, log[0].answer) == ("waiting", "TimeoutError")


async def test_what_waits_outlives_a_restart(bench: Bench) -> None:
    async with subscriber() as other:
        made, _ = await bench.subscriptions.create(other.url, [], START)
        silent = Deliveries(bench.database, LOOPBACK, QUICK, lambda: bench.now)
        for number in range(1, 21):
            await silent.tell(joined(number))
        async with bench.running():
            await other.has(20)
            assert await bench.settled(made.id) == ["delivered"] * 20
        assert {json.loads(text)["sequence"] for _, text in other.requests} == set(range(1, 21))


async def test_of_two_nodes_one_sends(bench: Bench) -> None:
    async with subscriber() as other, bench.running() as one, bench.running():
        made, _ = await bench.subscriptions.create(other.url, [], START)
        for number in range(1, 31):
            await one.tell(joined(number))
        assert await bench.settled(made.id) == ["delivered"] * 30
        assert len(other.requests) == 30


async def test_a_node_that_dies_leaves_its_messages_to_others(bench: Bench) -> None:
    async with subscriber() as other:
        made, _ = await bench.subscriptions.create(other.url, [], START)
        dead = Deliveries(bench.database, LOOPBACK, QUICK, lambda: bench.now)
        await dead.tell(joined())
        async with bench.database.session.begin() as session:
            row = (await session.scalars(select(DeliveryRow))).one()
            assert await subscriptions.claim(session, row, bench.now + datetime.timedelta(seconds=60))
        async with bench.running():
            assert await bench.settled(made.id) == ["delivered"]
        assert bench.now >= START + datetime.timedelta(seconds=60)


async def test_after_a_day_of_failures_it_is_disabled(bench: Bench) -> None:
    async with subscriber() as other:
        other.answers = [503] * 1000
        made, _ = await bench.subscriptions.create(other.url, [], START)
        async with bench.running(replace(QUICK, haste=1.0)) as sending:
            await sending.tell(joined())
            attempts = 0
            async with asyncio.timeout(DEADLINE):
                while (await bench.subscriptions.get(made.id)).disabled_at is None:
                    (one,) = await bench.subscriptions.deliveries(made.id)
                    if one.attempts > attempts and one.due_at is not None:
                        attempts, bench.now = one.attempts, one.due_at
                        sending.wake()
                    await asyncio.sleep(0.01)
        found = await bench.subscriptions.get(made.id)
        assert found.disabled_at is not None
        assert found.disabled_at == START + datetime.timedelta(hours=24)
        (one,) = await bench.subscriptions.deliveries(made.id)
        assert (one.status, one.attempts, one.answer) == ("failed", len(other.requests), "HTTP 503")


async def test_administrators_hear_by_mail_of_what_is_turned_off(bench: Bench) -> None:
    accounts = Accounts(bench.database, Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)))
    for name, role, locale in (("anna", "administrator", "ru"), ("vera", "administrator", ""), ("boris", "host", "")):
        account = await accounts.create(f"{name}@example.org", name, clean_role(role), START)
        await accounts.set_password(account, "several quiet words")
        if locale:
            await accounts.speak(account, locale)
    await accounts.create("eve@example.org", "Eve", "administrator", START)
    counted: Counter[str] = Counter()

    def count(name: str) -> None:
        counted[name] += 1

    async with mail_server() as server, subscriber() as other:
        other.answers = [503, 410]
        letters = Letters(bench.database, Mail(server.url, "Veche <veche@example.org>"), count=count)
        renderer = Renderer(Callers((), "https://meet.example.org"), Assets(), 0, "0")
        sending = Deliveries(bench.database, LOOPBACK, QUICK, lambda: bench.now, count)
        sending.listen(WebhookLetters(accounts, letters, renderer, "https://meet.example.org"))
        made, _ = await bench.subscriptions.create(other.url, [], START)
        await letters.start()
        await sending.start()
        try:
            await sending.tell(joined())
            assert await bench.settled(made.id) == ["failed"]
            told = {str(letter["To"]): letter for letter in [await server.next(), await server.next()]}
            async with asyncio.timeout(DEADLINE):
                while counted["letters_sent"] < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        finally:
            await sending.close()
            await letters.close()
        assert server.waiting == 0
    assert set(told) == {"anna@example.org", "vera@example.org"}, "who can sign in and turn it on again"
    assert told["anna@example.org"]["Subject"] == "Вебхук отключён"
    assert told["vera@example.org"]["Subject"] == "A webhook was turned off"
    text = text_of(told["vera@example.org"])
    assert all(part in text for part in (other.url, "HTTP 410", f"https://meet.example.org/webhooks/{made.id}"))
    assert counted == {
        "deliveries_retried": 1,
        "deliveries_dropped": 1,
        "subscriptions_disabled": 1,
        "letters_sent": 2,
    }


async def test_who_answers_gone_is_told_no_more_until_it_is_enabled(bench: Bench) -> None:
    async with subscriber() as other, bench.running() as sending:
        other.answers = [410]
        made, _ = await bench.subscriptions.create(other.url, [], START)
        await sending.tell(joined(1))
        assert await bench.settled(made.id) == ["failed"]
        assert (await bench.subscriptions.get(made.id)).disabled_at is not None
        await sending.tell(joined(2))
        assert len(await bench.subscriptions.deliveries(made.id)) == 1
        await bench.subscriptions.change(made.id, START, enabled=True)
        await sending.tell(joined(3))
        assert sorted(await bench.settled(made.id)) == ["delivered", "failed"]


async def test_a_message_is_sent_once_more(bench: Bench) -> None:
    async with subscriber() as other, bench.running() as sending:
        made, _ = await bench.subscriptions.create(other.url, ["meeting.created"], START)
        await bench.subscriptions.test(made.id, bench.now)
        sending.wake()
        await other.has(1)
        assert await bench.settled(made.id) == ["delivered"]
        (first,) = await bench.subscriptions.deliveries(made.id)
        bench.now += datetime.timedelta(seconds=1)
        again = await bench.subscriptions.replay(made.id, first.id, bench.now)
        sending.wake()
        await other.has(2)
        assert other.requests[0][1] == other.requests[1][1]
        assert other.requests[0][0]["webhook-id"] == other.requests[1][0]["webhook-id"] == again.event_id
        assert other.types == ["webhook.test"] * 2
        assert await bench.settled(made.id) == ["delivered"] * 2
        page = await bench.subscriptions.deliveries(made.id, most=1)
        assert [one.id for one in page] == [again.id]
        assert [
            one.id for one in await bench.subscriptions.deliveries(made.id, after=(page[0].created_at, page[0].id))
        ] == [first.id]
        with pytest.raises(DeliveryNotFound):
            await bench.subscriptions.replay("WH_other", first.id, bench.now)
        with pytest.raises(SubscriptionNotFound):
            await bench.subscriptions.test("WH_other", bench.now)


async def test_both_secrets_sign_for_a_day(bench: Bench) -> None:
    async with subscriber() as other, bench.running() as sending:
        made, former = await bench.subscriptions.create(other.url, [], START)
        secret = await bench.subscriptions.rotate(made.id, START)
        assert secret != former
        await sending.tell(joined(1))
        await other.has(1)
        bench.now = START + datetime.timedelta(hours=25)
        await sending.tell(joined(2))
        await other.has(2)
        signatures = {json.loads(text)["sequence"]: headers["webhook-signature"] for headers, text in other.requests}
        assert [len(signatures[number].split(" ")) for number in (1, 2)] == [2, 1]


async def test_a_redirect_is_not_followed_and_an_endless_answer_is_cut_off(bench: Bench) -> None:
    async with subscriber() as inside, subscriber() as other, bench.running() as sending:

        async def elsewhere(request: web.Request) -> web.StreamResponse:
            return web.Response(status=307, headers={"Location": inside.url})

        async def endless(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(bytes(65536))

        other.answers = [elsewhere, endless]
        made, _ = await bench.subscriptions.create(other.url, [], START)
        await sending.tell(joined())
        assert await bench.settled(made.id) == ["delivered"]
        assert inside.requests == []


async def test_what_leads_inside_is_not_sent(bench: Bench) -> None:
    """An address that was allowed once, or a name that means this machine."""
    async with subscriber() as other:
        port = other.url.rpartition(":")[2]
        made, _ = await bench.subscriptions.create(other.url, [], START)
        named, _ = await bench.subscriptions.create(f"http://localhost:{port}", [], START)
        strict = Deliveries(bench.database, (), QUICK, lambda: bench.now)
        await strict.start()
        await strict.tell(joined())
        async with asyncio.timeout(DEADLINE):
            for one in (made, named):
                while (await bench.subscriptions.deliveries(one.id))[0].attempts == 0:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        await strict.close()
        answers = {(await bench.subscriptions.deliveries(one.id))[0].answer for one in (made, named)}
        assert answers == {"AddressRefused"}
        assert other.requests == []


async def test_the_queue_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MOST_WAITING", 3)
    made, _ = await bench.subscriptions.create("http://127.0.0.1:9/", [], START)
    silent = Deliveries(bench.database, LOOPBACK, QUICK, lambda: bench.now)
    for number in range(5):
        await silent.tell(joined(number))
    assert len(await bench.subscriptions.deliveries(made.id)) == 3


async def test_subscriptions_are_changed_and_deleted(bench: Bench) -> None:
    made, _ = await bench.subscriptions.create("https://example.org/a", ["host.left"], START)
    changed = await bench.subscriptions.change(made.id, START, url="https://example.org/b", events=["meeting.created"])
    assert (changed.url, changed.events) == ("https://example.org/b", ("meeting.created",))
    assert (await bench.subscriptions.change(made.id, START, enabled=False)).disabled_at == START
    with pytest.raises(WrongInput):
        await bench.subscriptions.change(made.id, START, url="http://10.0.0.1/")
    assert [one.id for one in await bench.subscriptions.list()] == [made.id]
    await bench.subscriptions.delete(made.id)
    assert await bench.subscriptions.list() == []
    with pytest.raises(SubscriptionNotFound):
        await bench.subscriptions.get(made.id)


async def test_the_log_is_kept_for_a_week(bench: Bench) -> None:
    async with subscriber() as other:
        made, _ = await bench.subscriptions.create(other.url, [], START)
        async with bench.running() as sending:
            await sending.tell(joined())
            assert await bench.settled(made.id) == ["delivered"]
        bench.now = START + datetime.timedelta(days=8)
        async with bench.running(), asyncio.timeout(DEADLINE):
            while await bench.subscriptions.deliveries(made.id):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_changes_of_meetings_are_told(bench: Bench) -> None:
    async with subscriber() as other, bench.running() as sending:
        await bench.subscriptions.create(other.url, [], START)
        planning = Planning(bench.database, Meetings(bench.database), Members(bench.database), [sending])
        meeting, _ = await planning.make(MeetingDraft("Planning"), bench.now)
        await planning.change(meeting, MeetingDraft("Retrospective"), bench.now)
        await planning.cancel(meeting, bench.now)
        await planning.delete(meeting)
        await other.has(4)
        said = {one["type"]: one for one in (json.loads(text) for _, text in other.requests)}
        assert set(said) == {"meeting.created", "meeting.updated", "meeting.cancelled", "meeting.deleted"}
        assert said["meeting.updated"]["meeting"] == {"id": meeting.id, "title": "Retrospective"}
        assert all(meeting.code not in json.dumps(one) for one in said.values()), "the code lets people in"
