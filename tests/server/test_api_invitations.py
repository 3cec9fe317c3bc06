"""Who is invited by a program is told like whom a page invites; and what programs get to send by themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from icalendar import Calendar

from server.accounts import Accounts
from server.passwords import Passwords
from tests.application import Site, running_site
from tests.server.mail_server import MailServer, mail_server
from tests.server.programs import Program, program
from tests.server.test_invitations import NOW, events_of, text_of

SCHEDULE = {
    "starts_at": "2030-03-19T08:00:00Z",
    "duration_minutes": 45,
    "time_zone": "Europe/Berlin",
    "recurrence": "FREQ=WEEKLY;COUNT=4",
}


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    async with mail_server() as server:
        yield server


@pytest.fixture
async def site(tmp_path: Path, database_url: str, mail: MailServer) -> AsyncIterator[Site]:
    settings = {
        "database.url": database_url,
        "mail.url": mail.url,
        "mail.from": "Veche <veche@example.org>",
        "http.url": "https://meet.example.org",
    }
    async with running_site(tmp_path, settings) as running:
        yield running


async def test_who_is_invited_over_the_api_gets_letters_as_from_the_page(site: Site, mail: MailServer) -> None:
    owner = await Accounts(site.database, Passwords()).create("anna@example.org", "Anna", "host", NOW)
    maker = await program(site, "meetings:read", "meetings:write")
    asked = {"title": "Weekly", "schedule": SCHEDULE, "owner_id": owner.id, "members": [{"email": "vera@example.org"}]}
    one = f"/meetings/{(await maker.ask('POST', '/meetings', asked)).body['id']}"
    assert (await mail.next())["To"] == "vera@example.org"
    boris = (await maker.ask("POST", f"{one}/members", {"email": "boris@example.org"})).body
    letter = await mail.next()
    assert letter["To"] == "boris@example.org"
    assert "https://meet.example.org/m/" in text_of(letter)
    assert {event["SEQUENCE"] for event in events_of(letter, "REQUEST")} == {0}
    assert (await maker.ask("PATCH", one, {"title": "Daily"})).status == 200
    told = [await mail.next() for _ in range(2)]
    assert {str(each["To"]) for each in told} == {"boris@example.org", "vera@example.org"}
    assert [event["SEQUENCE"] for each in told for event in events_of(each, "REQUEST")] == [1, 1]
    assert (await maker.ask("DELETE", f"{one}/members/{boris['id']}")).status == 204
    letter = await mail.next()
    assert (letter["To"], events_of(letter, "CANCEL")[0]["SEQUENCE"]) == ("boris@example.org", 1)
    assert (await maker.ask("POST", f"{one}/cancel")).status == 200
    letter = await mail.next()
    assert (letter["To"], events_of(letter, "CANCEL")[0]["SEQUENCE"]) == ("vera@example.org", 2)
    assert mail.waiting == 0


async def test_programs_read_what_to_send_to_people(site: Site) -> None:
    maker = await program(site, "meetings:read", "meetings:write")
    asked = {"title": "Планёрка", "description": "О погоде", "schedule": SCHEDULE}
    made = (await maker.ask("POST", "/meetings", asked)).body
    one = f"/meetings/{made['id']}"
    english = (await maker.ask("GET", f"{one}/invitation")).body
    russian = (await maker.ask("GET", f"{one}/invitation?locale=ru")).body
    assert english["title"] == russian["title"] == "Планёрка"
    assert "Meeting code: " in english["text"]
    assert "Код встречи: " in russian["text"]
    for said in (english, russian):
        assert said["link"] == made["link"]
        assert all(part in said["text"] for part in (made["link"], made["code"], "О погоде", "09:00"))
        (event,) = Calendar.from_ical(said["calendar"]).events
        assert (event["SUMMARY"], event["URL"]) == ("Планёрка", made["link"])
    assert english["calendar_link"] == f"https://meet.example.org/m/{made['code']}/meeting.ics"
    async with site.web.get(f"{site.url}/m/{made['code']}/meeting.ics") as file:
        assert (file.status, file.content_type) == (200, "text/calendar")

    await maker.ask("PATCH", one, {"settings": {"passcode": "271828"}})
    closed = (await maker.ask("GET", f"{one}/invitation")).body
    assert closed["calendar_link"] is None, "the file has the code alone, and that opens nothing"
    assert "271828" in closed["text"]
    assert closed["link"].endswith("#p=271828")
    await maker.ask("PATCH", one, {"schedule": None})
    assert (await maker.ask("GET", f"{one}/invitation")).body["calendar"] is None
    assert (await maker.ask("GET", f"{one}/invitation?locale=de")).status == 422
    assert (await Program(site, "").ask("GET", f"{one}/invitation")).status == 403


async def test_an_account_invited_over_the_api_gets_a_letter(site: Site, mail: MailServer) -> None:
    clerk = await program(site, "accounts:write")
    invited = (await clerk.ask("POST", "/accounts", {"email": "boris@example.org"}, Accept_Language="ru")).body
    assert (invited["sent"], invited["link"]) == (True, None)
    letter = await mail.next()
    assert letter["To"] == "boris@example.org"
    assert "https://meet.example.org/invitation/" in text_of(letter)
    assert "Пароль Вашей учётной записи" in text_of(letter)
    quiet = (await clerk.ask("POST", "/accounts", {"email": "vera@example.org", "send": False})).body
    assert quiet["sent"] is False
    assert quiet["link"].startswith("https://meet.example.org/invitation/")
    assert mail.waiting == 0
    mail.refused.add("eve@example.org")
    refused = (await clerk.ask("POST", "/accounts", {"email": "eve@example.org"})).body
    assert (refused["sent"], "/invitation/" in refused["link"]) == (False, True)
