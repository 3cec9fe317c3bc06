"""The API for programs: keys and scopes, limits, lists by pages, changes that don't cross, requests sent again."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from server.api_keys import PREFIX, ApiKeyRefused, ApiKeys
from server.database import AnswerRow, ApiKeyRow, Database
from server.texts import WrongInput
from tests.application import Site, next_response, running_site
from tests.server.programs import Program, program

NOW = datetime.datetime(2030, 1, 1, 12, 0, tzinfo=datetime.UTC)


@pytest.fixture
def settings() -> dict[str, object]:
    """Settings of the site; a test gives its own by parameter."""
    return {}


@pytest.fixture
async def site(tmp_path: Path, database_url: str, settings: dict[str, object]) -> AsyncIterator[Site]:
    async with running_site(tmp_path, {"database.url": database_url, **settings}) as running:
        yield running


async def test_a_key_is_kept_as_a_hash_and_works_until_it_is_over(database: Database) -> None:
    keys = ApiKeys(database)
    key, text = await keys.make("Billing", ["usage:read"], NOW, NOW + datetime.timedelta(days=1))
    assert text.startswith(PREFIX)
    async with database.session() as session:
        row = await session.scalar(select(ApiKeyRow))
    assert row is not None
    assert text.rpartition("_")[2].encode() not in row.secret_hash
    assert len(row.secret_hash) == 32
    assert (await keys.find(text, NOW)).scopes == {"usage:read"}
    assert (await keys.get(key.id)).used_at == NOW
    for wrong in (text[:-1], text[:-1] + ("A" if text[-1] != "A" else "B"), PREFIX, "", "x" * 5000, "veche_é"):
        with pytest.raises(ApiKeyRefused):
            await keys.find(wrong, NOW)
    with pytest.raises(ApiKeyRefused):
        await keys.find(text, NOW + datetime.timedelta(days=1))
    await keys.revoke(key.id, NOW)
    with pytest.raises(ApiKeyRefused):
        await keys.find(text, NOW)


@pytest.mark.parametrize("scopes", [[], ["meetings:red"], ["meetings:read", "everything"]])
async def test_scopes_that_are_none_are_refused(database: Database, scopes: list[str]) -> None:
    with pytest.raises(WrongInput, match="takes one or more of meetings:read"):
        await ApiKeys(database).make("Billing", scopes, NOW)


async def test_a_key_does_what_its_scopes_say_and_nothing_else(site: Site) -> None:
    reader = await program(site, "meetings:read")
    assert (await reader.ask("GET", "/meetings")).status == 200
    assert (await reader.ask("GET", "/whoami")).body["api_key"]["scopes"] == ["meetings:read"]
    for method, path in (("POST", "/meetings"), ("GET", "/accounts"), ("POST", "/accounts"), ("GET", "/api-keys")):
        reply = await reader.ask(method, path, {} if method == "POST" else None)
        assert (reply.status, reply.body["code"]) == (403, "scope_missing"), path
    stranger = Program(site, f"{PREFIX}{'0' * 24}_{'A' * 43}")
    reply = await stranger.ask("GET", "/meetings")
    assert (reply.status, reply.body["code"], reply.headers["WWW-Authenticate"]) == (401, "api_key_refused", "Bearer")
    assert (await Program(site, "").ask("GET", "/meetings")).status == 401


async def test_the_hosts_powers_take_their_scope(site: Site) -> None:
    maker, host = await program(site, "meetings:write", "meetings:read"), await program(site, "live:control")
    meeting = (await maker.ask("POST", "/meetings", {})).body["id"]
    assert (await maker.ask("POST", f"/meetings/{meeting}/live/lock")).body["code"] == "scope_missing"
    assert (await host.ask("POST", f"/meetings/{meeting}/live/lock")).body["code"] == "not_found"  # nobody is inside
    assert (await host.ask("PATCH", f"/meetings/{meeting}", {})).body["code"] == "scope_missing"


@pytest.mark.parametrize("settings", [{"limit.api_requests_per_second": 3}])
async def test_who_asks_too_much_waits(site: Site) -> None:
    """Three at once, and after that as the seconds pass: more than four cannot be before a second is over."""
    asker, other = await program(site), await program(site)
    replies = [await asker.ask("GET", "/version") for _ in range(200)]
    refused = [reply for reply in replies if reply.status == 429]
    assert replies[0].status == 200
    assert replies[0].headers["RateLimit-Policy"] == '"key";q=3;w=1'
    assert replies[0].headers["RateLimit"].startswith('"key";r=2;')
    assert refused
    assert refused[0].body["code"] == "too_many_requests"
    assert refused[0].headers["Retry-After"] == "1"
    assert (await other.ask("GET", "/version")).status == 200


async def test_a_meeting_is_made_looked_at_changed_and_deleted(site: Site) -> None:
    maker = await program(site)
    asked = {
        "title": "Weekly",
        "description": "Plans",
        "settings": {"passcode": "4711", "lobby": "guests"},
        "schedule": {"starts_at": "2030-03-26T10:00:00+01:00", "time_zone": "Europe/Berlin"},
        "members": [{"email": "Anna@example.org", "role": "cohost"}],
        "external_id": "crm-17",
    }
    made = await maker.ask("POST", "/meetings", asked)
    assert made.status == 201
    assert "Set-Cookie" not in made.headers
    assert (made.body["kind"], made.body["settings"]["lobby"]) == ("scheduled", "guests")
    one = f"/meetings/{made.body['id']}"
    assert (await maker.ask("GET", f"/meetings/{made.body['code']}")).body == made.body
    assert (await maker.ask("GET", f"{one}/members")).body["members"][0]["email"] == "anna@example.org"

    patched = await maker.ask("PATCH", one, {"title": "Daily", "settings": {"lobby": "off"}})
    assert patched.status == 200
    assert (patched.body["title"], patched.body["description"]) == ("Daily", "Plans")
    assert (patched.body["settings"]["lobby"], patched.body["settings"]["passcode"]) == ("off", "4711")
    assert patched.body["schedule"] == made.body["schedule"]
    assert (await maker.ask("PATCH", one, {"schedule": None})).body["schedule"] is None
    cancelled = await maker.ask("POST", f"{one}/cancel")
    assert (cancelled.status, cancelled.body["status"]) == (200, "cancelled")
    assert (await maker.ask("DELETE", one)).status == 204
    assert (await maker.ask("GET", one)).status == 404


async def test_wrong_fields_of_settings_are_named(site: Site) -> None:
    maker = await program(site)
    reply = await maker.ask("POST", "/meetings", {"settings": {"passcode": "1"}, "owner_id": None})
    assert (reply.status, reply.body["errors"][0]["field"]) == (422, "settings.passcode")
    reply = await maker.ask("POST", "/meetings", {"settings": {"looby": "off"}, "titel": ""})
    assert {error["field"] for error in reply.body["errors"]} == {"settings.looby", "titel"}


async def test_changes_do_not_cross(site: Site) -> None:
    maker = await program(site)
    made = await maker.ask("POST", "/meetings", {"title": "a"})
    one, first = f"/meetings/{made.body['id']}", made.headers["ETag"]
    second = (await maker.ask("PATCH", one, {"title": "b"}, If_Match=first)).headers["ETag"]
    assert second != first
    for stale in (first, '"x"', "W/" + second, second.strip('"')):
        reply = await maker.ask("PATCH", one, {"title": "c"}, If_Match=stale)
        assert (reply.status, reply.body["code"]) == (412, "meeting_changed")
    assert (await maker.ask("DELETE", one, If_Match=first)).status == 412
    assert (await maker.ask("PATCH", one, {"title": "c"}, If_Match="*")).status == 200
    assert (await maker.ask("GET", one)).body["title"] == "c"


async def test_the_same_external_id_is_the_same_meeting(site: Site) -> None:
    maker, other = await program(site), await program(site)
    asked = {"title": "Weekly", "external_id": "crm-17", "settings": {"passcode": "4711"}}
    made = await maker.ask("POST", "/meetings", asked)
    again = await maker.ask("POST", "/meetings", asked)
    assert (made.status, again.status) == (201, 200)
    assert again.body == made.body
    differs = await maker.ask("POST", "/meetings", {**asked, "title": "Daily"})
    assert (differs.status, differs.body["code"]) == (409, "external_id_taken")
    assert (await other.ask("POST", "/meetings", asked)).status == 201
    found = await maker.ask("GET", "/meetings?external_id=crm-17")
    assert [meeting["id"] for meeting in found.body["meetings"]] == [made.body["id"]]
    replies = await asyncio.gather(*(maker.ask("POST", "/meetings", {"external_id": "at-once"}) for _ in range(5)))
    assert {reply.status for reply in replies} <= {200, 201, 409}
    assert len({reply.body["id"] for reply in replies if reply.status < 300}) == 1


async def test_a_request_that_is_sent_again_is_done_once(site: Site) -> None:
    maker = await program(site)
    made = await maker.ask("POST", "/meetings", {"title": "a"}, Idempotency_Key="one")
    again = await maker.ask("POST", "/meetings", {"title": "a"}, Idempotency_Key="one")
    assert (made.status, again.status) == (201, 201)
    assert (again.body, again.headers["ETag"], again.headers["Location"]) == (
        made.body,
        made.headers["ETag"],
        made.headers["Location"],
    )
    differs = await maker.ask("POST", "/meetings", {"title": "b"}, Idempotency_Key="one")
    assert (differs.status, differs.body["code"]) == (422, "idempotency_key_reused")
    assert (await maker.ask("POST", "/meetings", {"title": "a"}, Idempotency_Key="two words")).status == 422

    # What was refused was not done.
    assert (await maker.ask("POST", "/meetings", {"titel": "a"}, Idempotency_Key="two")).status == 422
    assert (await maker.ask("POST", "/meetings", {"title": "a"}, Idempotency_Key="two")).status == 201

    replies = await asyncio.gather(
        *(maker.ask("POST", "/meetings", {"title": "at once"}, Idempotency_Key="three") for _ in range(8))
    )
    assert {reply.status for reply in replies} <= {201, 409}
    assert {reply.body["code"] for reply in replies if reply.status == 409} <= {"request_under_way"}
    found = await maker.ask("GET", "/meetings?text=AT+ONCE")
    assert len(found.body["meetings"]) == 1


async def test_a_request_that_was_cut_off_can_be_sent_again(site: Site) -> None:
    maker = await program(site)
    assert (await maker.ask("POST", "/meetings", {}, Idempotency_Key="one")).status == 201
    async with site.database.session.begin() as session:  # as if the node had ended in the middle
        await session.execute(update(AnswerRow).values(status=None))
    assert (await maker.ask("POST", "/meetings", {}, Idempotency_Key="one")).body["code"] == "request_under_way"
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=2)
    async with site.database.session.begin() as session:
        await session.execute(update(AnswerRow).values(created_at=long_ago))
    assert (await maker.ask("POST", "/meetings", {}, Idempotency_Key="one")).status == 201


async def test_a_list_goes_on_where_it_was_whatever_is_made_meanwhile(site: Site) -> None:
    maker = await program(site)
    made = [(await maker.ask("POST", "/meetings", {"title": f"No. {number}"})).body["id"] for number in range(5)]
    seen: list[str] = []
    cursor = ""
    while True:
        part = await maker.ask("GET", f"/meetings?limit=2&cursor={cursor}")
        assert part.status == 200
        seen += [meeting["id"] for meeting in part.body["meetings"]]
        await maker.ask("POST", "/meetings", {"title": "new"})
        cursor = part.body["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]
    for wrong in ("limit=0", "limit=201", "limit=x", "cursor=nonsense", "cursor=Zm9v", "kind=odd", "limit=1&limit=2"):
        assert (await maker.ask("GET", f"/meetings?{wrong}")).status == 422, wrong


async def test_meetings_are_found_by_what_they_are(site: Site) -> None:
    maker = await program(site)
    once = {"starts_at": "2030-03-26T10:00:00+01:00", "time_zone": "Europe/Berlin"}
    await maker.ask("POST", "/meetings", {"title": "Планёрка", "schedule": once})
    await maker.ask("POST", "/meetings", {"title": "100 %"})
    for query, titles in (
        ("text=планЁРКА", ["Планёрка"]),
        ("text=%25", ["100 %"]),
        ("kind=instant", ["100 %"]),
        ("kind=scheduled&from=2030-03-26T00:00:00Z&to=2030-03-27T00:00:00Z", ["Планёрка"]),
        ("to=2030-03-26T00:00:00Z", []),
        ("status=cancelled", []),
        ("owner=AC_nobody", []),
    ):
        found = await maker.ask("GET", f"/meetings?{query}")
        assert [meeting["title"] for meeting in found.body["meetings"]] == titles, query


async def test_members_are_invited_and_taken_back(site: Site) -> None:
    maker = await program(site)
    one = f"/meetings/{(await maker.ask('POST', '/meetings', {})).body['id']}"
    invited = await maker.ask("POST", f"{one}/members", {"email": "boris@example.org", "name": "Boris"})
    assert (invited.status, invited.body["role"], invited.body["name"]) == (201, "attendee", "Boris")
    again = await maker.ask("POST", f"{one}/members", {"email": "BORIS@example.org", "role": "host"})
    assert (again.body["id"], again.body["role"]) == (invited.body["id"], "host")
    assert (await maker.ask("DELETE", f"{one}/members/{invited.body['id']}")).status == 204
    assert (await maker.ask("DELETE", f"{one}/members/{invited.body['id']}")).body["code"] == "member_not_found"
    assert (await maker.ask("POST", f"{one}/members", {"email": "nobody"})).status == 422


async def test_accounts_are_invited_changed_and_closed(site: Site) -> None:
    clerk = await program(site, "accounts:read", "accounts:write")
    invited = await clerk.ask("POST", "/accounts", {"email": "anna@example.org", "role": "host"})
    assert invited.status == 201
    assert invited.body["account"]["invited"] is True
    assert "/invitation/" in invited.body["link"]
    one = f"/accounts/{invited.body['account']['id']}"
    assert (await clerk.ask("POST", "/accounts", {"email": "anna@example.org"})).body["code"] == "email_taken"
    listed = await clerk.ask("GET", "/accounts?limit=1")
    assert ([each["email"] for each in listed.body["accounts"]], listed.body["next_cursor"]) == (
        ["anna@example.org"],
        None,
    )
    assert (await clerk.ask("PATCH", one, {"name": "Anna"})).body["name"] == "Anna"
    # The service has nobody else who could administer it, so that none can be taken away.
    assert (await clerk.ask("GET", f"{one}x")).body["code"] == "account_not_found"


async def test_live_rooms_are_listed_with_their_meetings(site: Site) -> None:
    maker = await program(site)
    made = (await maker.ask("POST", "/meetings", {})).body
    asked = {"name": "Anna", "tab": "A" * 22}
    async with site.web.post(f"{site.url}/api/v1/meetings/{made['code']}/join", json=asked) as answer:
        entered = await answer.json()
    async with (
        site.joined("another", "boris"),
        site.web.ws_connect(f"{entered['url']}/rtc", params={"access_token": entered["token"]}) as socket,
    ):
        await socket.receive()
        rooms = (await maker.ask("GET", "/rooms")).body["rooms"]
        assert {room["meeting_id"] for room in rooms} == {made["id"], None}
        refused = await maker.ask("DELETE", f"/meetings/{made['id']}")
        assert (refused.status, refused.body["code"]) == (409, "meeting_under_way")
        assert (await maker.ask("DELETE", f"/meetings/{made['id']}?live=end")).status == 204


async def test_a_token_lets_one_person_in_as_it_says(site: Site) -> None:
    maker = await program(site, "meetings:write")
    one = f"/meetings/{(await maker.ask('POST', '/meetings', {'settings': {'lobby': 'all'}})).body['id']}"
    asked = {"name": " Anna ", "role": "cohost", "identity": "crm-anna", "attributes": {"team": "blue"}}
    made = await maker.ask("POST", f"{one}/tokens", {**asked, "permissions": {"publish": False}, "lifetime": 60})
    assert made.status == 201
    async with site.web.ws_connect(f"{made.body['url']}/rtc", params={"access_token": made.body["token"]}) as socket:
        person = (await next_response(socket)).join.participant
    assert (person.identity, person.name) == ("crm-anna", "Anna")
    assert dict(person.attributes) == {"team": "blue", "veche.role": "cohost"}
    assert (person.permission.can_publish, person.permission.can_subscribe) == (False, True)
    other = await maker.ask("POST", f"{one}/tokens", {"name": "Boris"})
    assert other.body["identity"].startswith("person-")
    for wrong in ({"attributes": {"veche.role": "host"}}, {"lifetime": 59}, {"identity": "x" * 129}, {"name": ""}):
        assert (await maker.ask("POST", f"{one}/tokens", {"name": "Boris", **wrong})).status == 422, wrong
    stranger = await Program(site, "").ask("POST", f"{one}/tokens", {"name": "Boris"})
    assert (stranger.status, stranger.body["code"]) == (401, "api_key_refused")
    await (await program(site)).ask("POST", f"{one}/cancel")
    assert (await maker.ask("POST", f"{one}/tokens", {"name": "Boris"})).body["code"] == "meeting_cancelled"


@pytest.mark.parametrize("table", ["meetings", "accounts"])
async def test_a_part_of_a_list_is_read_by_an_index(database: Database, table: str) -> None:
    """Not all rows are sorted for the few that are shown: on SQLite, whose plans are words."""
    if not str(database.engine.url).startswith("sqlite"):
        pytest.skip("PostgreSQL reads small tables as a whole")
    place = "(created_at, id) < ('2030-01-01', 'x')"
    query = f"EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE {place} ORDER BY created_at DESC, id DESC LIMIT 50"
    async with database.engine.connect() as connection:
        plan = " ".join(str(row) for row in await connection.execute(text(query)))
    assert f"USING INDEX ix_{table}_created_at" in plan
    assert "TEMP B-TREE" not in plan


async def test_what_no_database_keeps_is_refused_and_not_taken_for_a_failure_of_it(site: Site) -> None:
    """PostgreSQL keeps no NUL in a text: what holds one is nobody's id, and no title has it."""
    asker = await program(site)
    for path in ("/meetings/MT_%00", "/accounts/%00", "/api-keys/%00", "/webhooks/%00", "/meetings/MT_0/members/%00"):
        reply = await asker.ask("GET", path)
        assert reply.status in (404, 405), path
    for query in ("owner=%00", "text=a%00", "external_id=%00", "cursor=%00"):
        reply = await asker.ask("GET", f"/meetings?{query}")
        assert (reply.status, reply.body["code"]) == (422, "wrong_input"), query
    for body in ({"owner_id": "\0"}, {"title": "a\0b", "members": [{"email": "\0"}]}):
        reply = await asker.ask("POST", "/meetings", body)
        assert (reply.status, reply.body["code"]) == (422, "wrong_input"), body
    made = await asker.ask("POST", "/meetings", {"title": "a backslash: \\u0000"})
    assert (made.status, made.body["title"]) == (201, "a backslash: \\u0000")
