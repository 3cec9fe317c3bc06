"""A meeting on other sites' pages: who may hold it in a frame, and how a person comes in by a ticket."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from server.pages.security import CONTENT_SECURITY_POLICY
from tests.application import KEY, SECRET, Site, next_response, running_site
from tests.server.lobby_visits import Door
from tests.server.programs import Program, program

PORTAL = "https://portal.example.org"


@pytest.fixture
async def site(tmp_path: Path, database_url: str) -> AsyncIterator[Site]:
    async with running_site(tmp_path, {"database.url": database_url}) as running:
        yield running


async def page(site: Site, path: str) -> tuple[int, str, dict[str, str]]:
    headers = {"Accept": "text/html", "Host": "localhost:8080"}
    async with site.web.get(site.url + path, headers=headers, allow_redirects=False) as answer:
        return answer.status, await answer.text(), dict(answer.headers)


def ancestors(headers: dict[str, str]) -> list[str]:
    (rule,) = re.findall(r"frame-ancestors ([^;]*)", headers["Content-Security-Policy"])
    return str(rule).split()


async def test_only_the_sites_that_a_meeting_names_may_hold_it(site: Site) -> None:
    maker = await program(site)
    asked = {"settings": {"embed_origins": [f"{PORTAL}/", "https://Other.example:8443"]}}
    made = (await maker.ask("POST", "/meetings", asked)).body
    assert made["settings"]["embed_origins"] == [PORTAL, "https://other.example:8443"]
    status, text, headers = await page(site, f"/embed/{made['code']}?lang=ru")
    assert status == 200
    assert ancestors(headers) == [PORTAL, "https://other.example:8443"]
    assert headers["Content-Security-Policy"].replace(f"{PORTAL} https://other.example:8443", "'none'") == (
        CONTENT_SECURITY_POLICY
    )
    assert "Set-Cookie" not in headers
    assert (headers["Content-Language"], headers["Referrer-Policy"]) == ("ru", "no-referrer")
    assert "camera=(self)" in headers["Permissions-Policy"]
    data = json.loads(re.findall(r'id="page">(.*?)</script>', text)[0])
    assert (data["code"], data["name"]) == (made["code"], "")
    assert data["origins"] == [PORTAL, "https://other.example:8443"]
    # The meeting's own page stays what it was, and so does one that names nobody.
    assert ancestors((await page(site, f"/m/{made['code']}"))[2]) == ["'none'"]
    plain = (await maker.ask("POST", "/meetings", {})).body
    assert ancestors((await page(site, f"/embed/{plain['code']}"))[2]) == ["'none'"]
    status, _, headers = await page(site, "/embed/bcdf-ghjk-mnpq")
    assert (status, ancestors(headers)) == (404, ["'none'"])


async def test_what_is_no_origin_is_refused(site: Site) -> None:
    maker = await program(site)
    made = (await maker.ask("POST", "/meetings", {})).body
    for wrong in (["*"], ["https://a.example; script-src *"], ["http://a.example"], [PORTAL] * 21):
        answer = await maker.ask("PATCH", f"/meetings/{made['id']}", {"settings": {"embed_origins": wrong}})
        assert answer.status == 422, wrong
        assert answer.body["errors"][0]["field"] == "settings.embed_origins"


async def test_the_operator_says_which_sites_new_meetings_name(tmp_path: Path) -> None:
    async with running_site(tmp_path, {"meetings.embed_origins": PORTAL}) as site:
        maker = await program(site)
        made = (await maker.ask("POST", "/meetings", {})).body
        assert ancestors((await page(site, f"/embed/{made['code']}"))[2]) == [PORTAL]
        own = (await maker.ask("POST", "/meetings", {"settings": {"embed_origins": []}})).body
        assert ancestors((await page(site, f"/embed/{own['code']}"))[2]) == ["'none'"]


async def test_the_script_is_for_every_site(site: Site) -> None:
    async with site.web.get(f"{site.url}/veche-embed.js") as answer:
        assert answer.status == 200
        assert answer.content_type in {"text/javascript", "application/javascript"}
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "import " not in await answer.text(), "it stands alone"


async def test_a_link_for_one_person_leads_past_passcode_and_lobby(site: Site) -> None:
    maker = await program(site)
    asked = {"settings": {"lobby": "all", "passcode": "4711"}}
    meeting = (await maker.ask("POST", "/meetings", asked)).body
    path = f"/meetings/{meeting['id']}/tokens"
    made = (await maker.ask("POST", path, {"name": "Anna", "identity": "crm-1", "attributes": {"team": "blue"}})).body
    link, frame = urlsplit(made["link"]), urlsplit(made["embed_link"])
    assert (link.path, frame.path) == (f"/m/{meeting['code']}", f"/embed/{meeting['code']}")
    assert parse_qs(link.fragment) == parse_qs(frame.fragment) == {"t": [made["ticket"]]}
    assert made["ticket"] not in link.query + frame.query
    join = f"/meetings/{meeting['code']}/join"
    entered = await maker.ask("POST", join, {"name": "Somebody else", "tab": "A" * 22, "ticket": made["ticket"]})
    assert (entered.body["decision"], entered.body["identity"]) == ("enter", "crm-1")
    address, shown = f"{entered.body['url']}/rtc", {"access_token": entered.body["token"]}
    async with site.web.ws_connect(address, params=shown) as socket:
        person = (await next_response(socket)).join.participant
    assert (person.identity, person.name, dict(person.attributes)) == ("crm-1", "Anna", {"team": "blue"})
    # It opens no room by itself.
    async with site.web.get(f"{site.url}/rtc/validate", params={"access_token": made["ticket"]}) as answer:
        assert answer.status == 401


async def test_a_ticket_that_does_not_skip_the_lobby_waits_under_its_own_name(site: Site) -> None:
    maker = await program(site)
    door = await Door.of(site, lobby="all", passcode="4711")
    path = f"/meetings/{door.meeting.code}/tokens"
    made = (await maker.ask("POST", path, {"name": "Anna", "skip_lobby": False})).body
    assert made["token"] is None
    asked = {"name": "Director", "tab": "A" * 22, "ticket": made["ticket"]}
    waiting = (await door.ask("POST", "/join", asked))[1]
    assert (waiting["decision"], waiting["reason"]) == ("wait", "lobby")
    assert await door.waiting() == ["Anna"]
    assert (await door.ask("POST", f"/lobby/{waiting['knock']}/admit", {}, door.host))[0] in (200, 204)
    assert (await door.ask("POST", "/join", asked))[1]["identity"] == made["identity"]


async def test_a_ticket_is_for_one_meeting_and_counts_beside_no_cookie(site: Site) -> None:
    maker = await program(site)
    door, other = await Door.of(site), await Door.of(site)
    made = (await maker.ask("POST", f"/meetings/{door.meeting.code}/tokens", {"name": "Anna"})).body
    asked = {"name": "Anna", "tab": "A" * 22, "ticket": made["ticket"]}
    entered = (await door.ask("POST", "/join", asked, door.host))[1]
    assert (entered["role"], entered["identity"]) == ("attendee", made["identity"])
    status, refused = await other.ask("POST", "/join", asked, other.host)
    assert (status, refused["code"]) == (403, "ticket_refused")
    for wrong in (made["ticket"][:-3] + "AAA", made["token"], entered["token"]):
        status, refused = await door.ask("POST", "/join", {**asked, "ticket": wrong})
        assert (status, refused["code"]) == (403, "ticket_refused")


async def test_links_for_one_person_are_taken_back(site: Site) -> None:
    """All of one meeting at once; those made later are good, and so are another meeting's."""
    maker, door, other = await program(site), await Door.of(site), await Door.of(site)

    async def ticket_for(one: Door) -> str:
        made = await maker.ask("POST", f"/meetings/{one.meeting.code}/tokens", {"name": "Anna"})
        return str(made.body["ticket"])

    async def comes_in(one: Door, ticket: str) -> bool:
        asked = {"name": "Anna", "tab": "A" * 22, "ticket": ticket}
        status, answer = await one.ask("POST", "/join", asked)
        assert (status, answer.get("code")) in ((200, None), (403, "ticket_refused"))
        return status == 200

    given, elsewhere = [await ticket_for(door), await ticket_for(door)], await ticket_for(other)
    assert await comes_in(door, given[0])
    version = (await maker.ask("GET", f"/meetings/{door.meeting.code}")).headers["ETag"]
    path = f"/meetings/{door.meeting.code}/tokens"
    for who in (await program(site, "meetings:read"), Program(site, "")):
        assert (await who.ask("DELETE", path)).status in (401, 403)
        assert await comes_in(door, given[1])
    assert (await maker.ask("DELETE", path)).status == 204
    assert [await comes_in(door, ticket) for ticket in given] == [False, False]
    assert await comes_in(other, elsewhere)
    later = await ticket_for(door)
    assert await comes_in(door, later)
    assert (await maker.ask("GET", f"/meetings/{door.meeting.code}")).headers["ETag"] == version, (
        "nobody's plans changed"
    )
    # Who holds the secret of the meeting, and who is nobody to it.
    assert (await door.ask("DELETE", "/tokens"))[0] == 403
    assert (await door.ask("DELETE", "/tokens", None, door.host))[0] == 204
    assert not await comes_in(door, later)


async def test_a_link_for_one_person_needs_no_account(tmp_path: Path) -> None:
    async with running_site(tmp_path, {"accounts.guests": "false"}) as site:
        maker = await program(site)
        door = await Door.of(site)
        status, _, headers = await page(site, f"/m/{door.meeting.code}")
        assert (status, headers["Location"]) == (303, f"/sign-in?next=/m/{door.meeting.code}")
        made = (await maker.ask("POST", f"/meetings/{door.meeting.code}/tokens", {"name": "Anna"})).body
        parts = urlsplit(made["link"])
        assert (await page(site, f"{parts.path}?{parts.query}"))[0] == 200
        asked = {"name": "Anna", "tab": "A" * 22}
        assert (await door.ask("POST", "/join", asked))[1]["code"] == "sign_in_required"
        assert (await door.ask("POST", "/join", {**asked, "ticket": made["ticket"]}))[1]["decision"] == "enter"


async def test_too_much_for_a_link_is_refused(site: Site) -> None:
    maker = await program(site)
    door = await Door.of(site)
    much = {"name": "Anna", "attributes": {"note": "x" * 30_000}}
    answer = await maker.ask("POST", f"/meetings/{door.meeting.code}/tokens", much)
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "attributes")
    assert KEY not in str(answer.body)
    assert SECRET not in str(answer.body)
