"""/api/v1/meetings over HTTP: making, finding, joining; and whoever is no page of ours, or guesses, is refused."""

from __future__ import annotations

import asyncio
import base64
import datetime
import gzip
import math
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server.api.authority import HOST_COOKIE
from server.api.meetings import PATH
from server.attempts import FIRST_WAIT, FREE
from server.meeting_settings import MeetingSettings
from server.meetings import MeetingDraft, Meetings
from server.sign_in import GUEST_COOKIE
from signaling import token
from tests.application import KEY, SECRET, Site, next_response, running_site

TAB = base64.urlsafe_b64encode(bytes(16)).decode()


@pytest.fixture
def settings() -> dict[str, object]:
    """Settings of the site; a test gives its own by parameter."""
    return {}


@pytest.fixture
async def site(tmp_path: Path, database_url: str, settings: dict[str, object]) -> AsyncIterator[Site]:
    async with running_site(tmp_path, {"database.url": database_url, **settings}) as running:
        yield running


async def post(site: Site, path: str, body: object = None, **headers: str) -> tuple[int, Any, aiohttp.ClientResponse]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, bytes):
        request = site.web.post(site.url + path, data=body, headers={"Content-Type": "application/json", **given})
    else:
        request = site.web.post(site.url + path, json={} if body is None else body, headers=given)
    async with request as answer:
        return answer.status, await answer.json(content_type=None), answer


async def get(site: Site, path: str, **headers: str) -> tuple[int, Any]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    async with site.web.get(site.url + path, headers=given) as answer:
        return answer.status, await answer.json(content_type=None)


async def new_meeting(site: Site, **headers: str) -> tuple[str, str]:
    """A meeting's code and its host secret."""
    status, made, answer = await post(site, PATH, {"title": "Weekly"}, **headers)
    assert status == 201
    return str(made["code"]), answer.cookies[HOST_COOKIE].value


async def test_a_meeting_is_made_found_and_joined(site: Site) -> None:
    status, made, answer = await post(site, PATH, {"title": "  Weekly "})
    assert status == 201
    assert made["title"] == "Weekly"
    assert answer.headers["Location"] == f"{PATH}/{made['code']}"
    assert (made["kind"], made["status"], made["schedule"], made["external_id"]) == ("instant", "active", None, None)
    assert await get(site, f"{PATH}/{made['code'].upper()}/preview") == (200, {"code": made["code"], "title": "Weekly"})

    status, entered, _ = await post(site, f"{PATH}/{made['code']}/join", {"name": "Anna", "tab": TAB})
    assert (status, entered["decision"], entered["role"]) == (200, "enter", "attendee")
    assert entered["url"] == site.url.replace("http", "ws")
    grants = token.verify(entered["token"], {KEY: SECRET}, time.time())
    assert (grants.identity, grants.name) == (entered["identity"], "Anna")
    assert 500 < grants.expires_at - time.time() < 700
    assert made["code"] not in grants.video.room
    async with site.web.ws_connect(f"{entered['url']}/rtc", params={"access_token": entered["token"]}) as socket:
        join = (await next_response(socket)).join
        assert (join.participant.identity, join.room.name) == (entered["identity"], grants.video.room)


async def test_the_cookie_makes_a_host_and_is_good_for_nothing_else(site: Site) -> None:
    status, made, answer = await post(site, PATH)
    assert status == 201
    cookie = answer.cookies[HOST_COOKIE]
    assert cookie["httponly"] is True
    assert cookie["samesite"] == "Lax"
    assert cookie["path"] == f"{PATH}/{made['code']}"
    assert cookie["secure"] == ""  # over plain HTTP a browser would not keep it
    assert cookie.value not in str(made)

    body = {"name": "Anna", "tab": TAB}
    _, entered, _ = await post(site, f"{PATH}/{made['code']}/join", body, Cookie=f"{HOST_COOKIE}={cookie.value}")
    assert entered["role"] == "host"
    async with site.web.ws_connect(f"{entered['url']}/rtc", params={"access_token": entered["token"]}) as socket:
        participant = (await next_response(socket)).join.participant
        assert participant.attributes["veche.role"] == "host"

    other, _ = await new_meeting(site)
    for path, value in ((other, cookie.value), (made["code"], "wrong"), (made["code"], "")):
        _, entered, _ = await post(site, f"{PATH}/{path}/join", body, Cookie=f"{HOST_COOKIE}={value}")
        assert entered["role"] == "attendee"


async def test_a_reload_is_the_same_person_and_another_tab_is_not(site: Site) -> None:
    code, _ = await new_meeting(site)
    tabs = [TAB, TAB, base64.urlsafe_b64encode(secrets.token_bytes(16)).decode()]
    joined = [(await post(site, f"{PATH}/{code}/join", {"name": "Anna", "tab": tab}))[1]["identity"] for tab in tabs]
    assert joined[0] == joined[1] != joined[2]


@pytest.mark.parametrize("settings", [{"http.trusted_proxies": "127.0.0.0/8"}])
async def test_behind_a_trusted_proxy_the_links_are_the_proxys(site: Site) -> None:
    forwarded = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "meet.example.org"}
    status, made, answer = await post(site, PATH, **forwarded, Origin="https://meet.example.org")
    assert (status, made["link"]) == (201, f"https://meet.example.org/m/{made['code']}")
    assert answer.cookies[HOST_COOKIE]["secure"] is True
    _, entered, _ = await post(site, f"{PATH}/{made['code']}/join", {"name": "A", "tab": TAB}, **forwarded)
    assert entered["url"] == "wss://meet.example.org"


async def test_a_link_leads_there_for_others_too(site: Site) -> None:
    """The address that the maker used, or the service's own in the network for who works on the server itself."""
    for host, base in (
        ("meet.example.org:8080", "http://meet.example.org:8080"),
        ("localhost:8080", "https://127.0.0.1:8443"),  # the one address that this site offers
    ):
        status, made, _ = await post(site, PATH, Host=host)
        assert (status, made["link"]) == (201, f"{base}/m/{made['code']}")


async def test_forwarded_headers_of_anybody_else_mean_nothing(site: Site) -> None:
    forwarded = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "evil.example"}
    status, made, _ = await post(site, PATH, **forwarded, Host="meet.example.org")
    assert (status, made["link"]) == (201, f"http://meet.example.org/m/{made['code']}")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Origin": "https://evil.example"}, 403, "wrong_origin"),
        ({"Origin": "null"}, 403, "wrong_origin"),
        ({"Sec_Fetch_Site": "cross-site"}, 403, "wrong_origin"),
        ({"Sec_Fetch_Site": "same-site"}, 403, "wrong_origin"),
        ({"Content_Type": "text/plain"}, 415, "wrong_content_type"),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415, "wrong_content_type"),
    ],
)
async def test_a_page_of_another_site_may_not_post(site: Site, headers: dict[str, str], status: int, code: str) -> None:
    meeting, host_secret = await new_meeting(site)
    body = {"name": "Anna", "tab": TAB}
    for path in (PATH, f"{PATH}/{meeting}/join"):
        found, problem, answer = await post(site, path, body, **headers, Cookie=f"{HOST_COOKIE}={host_secret}")
        assert (found, problem["code"]) == (status, code)
        assert "Access-Control-Allow-Origin" not in answer.headers
    async with site.web.options(site.url + PATH, headers={"Origin": "https://evil.example"}) as preflight:
        assert "Access-Control-Allow-Origin" not in preflight.headers


async def test_a_page_of_ours_may(site: Site) -> None:
    for headers in ({"Origin": site.url}, {"Sec_Fetch_Site": "same-origin"}, {"Sec_Fetch_Site": "none"}):
        await new_meeting(site, **headers)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 422, "body: takes one JSON object"),
        (b"{", 422, "body: takes one JSON object"),
        (b'{"title": "a", "title": "b"}', 422, "body: takes one JSON object with each name once"),
        (b"[" * 60_000, 422, "body: takes one JSON object"),
        (b'{"title": "\xff"}', 422, "body: takes one JSON object"),
        (b"[]", 422, "body: "),
        ({"title": 7}, 422, "title: "),
        ({"titel": "a"}, 422, "titel: "),
        ({"title": "x" * 201}, 422, "title: got 201 characters"),
        ({"title": "x" * 60_000}, 422, "title: "),
        (b'{"title": "' + b"x" * 70_000 + b'"}', 413, "body: takes at most 65536 bytes"),
    ],
)
async def test_a_wrong_body_is_named(site: Site, body: object, status: int, words: str) -> None:
    found, problem, answer = await post(site, PATH, body)
    assert (found, problem["status"]) == (status, status)
    assert problem["detail"].startswith(words)
    assert answer.content_type == "application/problem+json"
    assert set(problem) - {"errors"} == {"type", "title", "status", "detail", "code"}


async def test_a_body_that_grows_when_unpacked_is_refused(site: Site) -> None:
    packed = gzip.compress(b'{"title": "' + b"x" * 50_000_000 + b'"}')
    status, problem, _ = await post(site, PATH, packed, Content_Encoding="gzip")
    assert (status, problem["code"]) == (413, "too_large")
    status, _, _ = await post(site, PATH, gzip.compress(b'{"title": "Weekly"}'), Content_Encoding="gzip")
    assert status == 201
    for coding in ("gzip", "deflate", "br", "zstd", "x"):
        headers = {"Content-Type": "application/json", "Content-Encoding": coding, "Connection": "close"}
        async with site.web.post(site.url + PATH, data=b"\0\1\2", headers=headers) as answer:
            assert answer.status in (400, 422), coding


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "name: "),
        ({"name": "Anna"}, "tab: "),
        ({"name": "", "tab": TAB}, "name: got 0 characters, takes 1 to 64"),
        ({"name": "x" * 65, "tab": TAB}, "name: got 65 characters"),
        ({"name": "Anna", "tab": "short"}, "tab: "),
        ({"name": "Anna", "tab": TAB, "role": "host"}, "role: "),
    ],
)
async def test_a_wrong_join_is_named(site: Site, body: object, words: str) -> None:
    code, _ = await new_meeting(site)
    status, problem, _ = await post(site, f"{PATH}/{code}/join", body)
    assert (status, problem["code"]) == (422, "wrong_input")
    assert problem["detail"].startswith(words)


async def test_a_wrong_code_says_so_in_one_way(site: Site) -> None:
    answers = [
        await get(site, f"{PATH}/bcdf-ghjk-mnpq"),
        await get(site, f"{PATH}/nonsense"),
        (await post(site, f"{PATH}/bcdf-ghjk-mnpq/join", {"name": "Anna", "tab": TAB}))[:2],
    ]
    for status, problem in answers:
        assert (status, problem["code"], problem["detail"]) == (404, "meeting_not_found", "no meeting has this code")


@pytest.mark.parametrize("settings", [{"limit.failed_joins_per_minute": 20}])
async def test_who_guesses_codes_waits_and_who_knows_one_does_not(site: Site) -> None:
    code, _ = await new_meeting(site)
    await start_of_a_minute()
    for number in range(20):
        paths = (f"{PATH}/bcdf-ghjk-mnpq", f"/m/bcdf-ghjk-{number:04}")
        async with site.web.get(site.url + paths[number % 2]) as answer:
            assert answer.status == 404
    status, problem = await get(site, f"{PATH}/bcdf-ghjk-mnpq")
    assert (status, problem["code"]) == (429, "too_many_requests")
    status, problem, answer = await post(site, f"{PATH}/bcdf-ghjk-mnpq/join", {"name": "Anna", "tab": TAB})
    assert (status, answer.headers["Retry-After"]) == (429, "60")
    for accepted in ("text/html", "*/*"):
        headers = {"Accept": accepted, "Host": "localhost"}
        async with site.web.get(f"{site.url}/m/bcdf-ghjk-mnpq", headers=headers) as page:
            assert (page.status, page.headers["Retry-After"]) == (429, "60")
    # A right code is never refused: a school class sits behind one address.
    assert (await get(site, f"{PATH}/{code}/preview"))[0] == 200
    assert (await post(site, f"{PATH}/{code}/join", {"name": "Anna", "tab": TAB}))[0] == 200
    await new_meeting(site)


async def test_valid_joins_of_a_school_behind_one_address_are_not_counted(site: Site) -> None:
    code, _ = await new_meeting(site)
    path = f"{PATH}/{code}/join"
    body = [{"name": f"{n}", "tab": base64.urlsafe_b64encode(bytes([n] * 16)).decode()} for n in range(60)]
    assert {status for status, _, _ in await asyncio.gather(*(post(site, path, one) for one in body))} == {200}


@pytest.mark.parametrize("settings", [{"limit.new_meetings_per_minute": 3}])
async def test_a_flood_of_meetings_ends(site: Site) -> None:
    await start_of_a_minute()
    assert [(await post(site, PATH))[0] for _ in range(5)] == [201, 201, 201, 429, 429]


@pytest.mark.parametrize("settings", [{"limit.new_meetings_per_minute": 2, "http.trusted_proxies": "127.0.0.1"}])
async def test_addresses_behind_a_trusted_proxy_are_told_apart(site: Site) -> None:
    await start_of_a_minute()
    for forwarded in ("192.0.2.1", "192.0.2.2, 127.0.0.1", "198.51.100.1, 2001:db8:1::1"):
        statuses = [(await post(site, PATH, X_Forwarded_For=forwarded))[0] for _ in range(3)]
        assert statuses == [201, 201, 429]
    same_household = (await post(site, PATH, X_Forwarded_For="2001:db8:1:0:ffff::2"))[0]
    made_up = (await post(site, PATH, X_Forwarded_For="203.0.113.9, 192.0.2.1"))[0]
    assert (same_household, made_up) == (429, 429)


async def start_of_a_minute() -> None:
    """Counts are of minutes of the monotonic clock: a test must not begin at the end of one."""
    left = 60 - time.monotonic() % 60
    if left < 5:
        await asyncio.sleep(left + 0.1)


async def test_unknown_paths_and_methods_are_problems_too(site: Site) -> None:
    status, problem = await get(site, "/api/v1/nothing")
    assert (status, problem["code"]) == (404, "not_found")
    async with site.web.delete(f"{site.url}{PATH}") as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (405, "method_not_allowed")
        assert "POST" in answer.headers["Allow"]


async def test_a_database_that_is_away_is_said_without_its_words(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    async with site.database.engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE meetings RENAME TO elsewhere")
    status, problem, _ = await post(site, PATH, {"title": "Takeover", "settings": {"passcode": "271828"}})
    assert (status, problem["code"]) == (503, "database_unavailable")
    assert "SQL" not in str(problem).upper().replace("DATABASE", "")
    assert "meetings" not in problem["detail"]
    assert "database_unavailable" in caplog.text
    assert "Takeover" not in caplog.text
    assert "271828" not in caplog.text


async def decided(site: Site, **settings: object) -> tuple[str, str]:
    """A meeting with these settings: its code, and the host's cookie."""
    draft = MeetingDraft(settings=MeetingSettings.model_validate(settings))
    made, secret = await Meetings(site.database).create(draft, datetime.datetime.now(datetime.UTC))
    return made.code, f"{HOST_COOKIE}={secret}"


async def test_a_passcode_is_asked_for_and_guessing_it_takes_ever_longer(site: Site) -> None:
    code, cookie = await decided(site, passcode="4711")
    path, body = f"{PATH}/{code}/join", {"name": "Anna", "tab": TAB}
    status, problem, _ = await post(site, path, body)
    assert (status, problem["code"]) == (403, "passcode_required")
    assert (await post(site, path, body | {"passcode": "4711"}))[0] == 200
    assert (await post(site, path, body, Cookie=cookie))[1]["role"] == "host"
    outcomes = [(await post(site, path, body | {"passcode": "1234"}))[1]["code"] for _ in range(7)]
    assert outcomes == ["wrong_passcode"] * 5 + ["too_many_requests"] * 2
    # The right one is not told from wrong ones while somebody guesses; other meetings, and hosts, are as before.
    assert (await post(site, path, body | {"passcode": "4711"}))[0] == 429
    assert (await post(site, path, body | {"passcode": "4711"}, Cookie=cookie))[0] == 200
    other, _ = await decided(site, passcode="4711")
    assert (await post(site, f"{PATH}/{other}/join", body | {"passcode": "4711"}))[0] == 200


async def test_passcodes_sent_all_at_once_are_not_more_than_one_after_another(site: Site) -> None:
    code, _ = await decided(site, passcode="4711")
    path, body = f"{PATH}/{code}/join", {"name": "Anna", "tab": TAB}
    started = time.monotonic()
    answers = await asyncio.gather(*(post(site, path, body | {"passcode": f"{n:04}"}) for n in range(50)))
    waits_over = int(math.log2((time.monotonic() - started) / FIRST_WAIT + 1))  # each is twice the one before
    outcomes = [answer[1]["code"] for answer in answers]
    assert FREE <= outcomes.count("wrong_passcode") <= FREE + waits_over
    assert set(outcomes) == {"wrong_passcode", "too_many_requests"}


async def test_who_has_to_wait_gets_no_token(site: Site) -> None:
    for settings, reason in (({"lobby": "all"}, "lobby"), ({"join_before_host": False}, "not_started")):
        code, cookie = await decided(site, **settings)
        status, answer, _ = await post(site, f"{PATH}/{code}/join", {"name": "Anna", "tab": TAB})
        assert (status, answer["decision"], answer["reason"]) == (200, "wait", reason)
        assert "token" not in answer
        status, answer, _ = await post(site, f"{PATH}/{code}/join", {"name": "Anna", "tab": TAB}, Cookie=cookie)
        assert (status, answer["decision"]) == (200, "enter")
        async with site.web.ws_connect(f"{answer['url']}/rtc", params={"access_token": answer["token"]}) as socket:
            await next_response(socket)
            other = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode()
            _, answer, _ = await post(site, f"{PATH}/{code}/join", {"name": "Bob", "tab": other})
            assert answer["decision"] == ("wait" if reason == "lobby" else "enter")


async def test_the_browsers_cookie_makes_its_tabs_one_person(site: Site) -> None:
    code, _ = await decided(site)
    async with site.web.get(f"{site.url}/m/{code}", headers={"Accept": "text/html", "Host": "localhost"}) as page:
        cookie = page.cookies[GUEST_COOKIE]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    tabs = [TAB, base64.urlsafe_b64encode(secrets.token_bytes(16)).decode()]
    found = [
        (await post(site, f"{PATH}/{code}/join", {"name": "A", "tab": tab}, Cookie=f"{GUEST_COOKIE}={cookie.value}"))[1]
        for tab in tabs
    ]
    first, second = (one["identity"] for one in found)
    assert first != second
    assert first[:-16] == second[:-16]
    assert cookie.value not in first
