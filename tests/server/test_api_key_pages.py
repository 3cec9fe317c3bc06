"""API keys in the browser: administrators make and revoke them; and the API for who is signed in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.application import Site, running_site
from tests.server.forms import Browser, browser
from tests.server.programs import Program
from tests.server.test_sign_in import PASSWORD, invite, set_up


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(tmp_path) as running:
        yield running


async def join_as_member(administrator: Browser, member: Browser, email: str) -> None:
    """Invites somebody, who takes the invitation."""
    link = await invite(administrator, email)
    page = await member.send(link, {"name": "Boris", "password": PASSWORD})
    assert page.status == 200


async def test_an_administrator_makes_a_key_sees_it_once_and_revokes_it(site: Site) -> None:
    async with browser(site) as anna:
        await set_up(anna)
        page = await anna.send("/api-keys", {"name": "Billing", "meetings:read": "on", "days": "30"})
        assert page.status == 200
        key = page.value(r'data-testid="key">([^<]+)<')
        program = Program(site, key)
        assert (await program.ask("GET", "/whoami")).body["api_key"]["scopes"] == ["meetings:read"]
        again = await anna.open("/api-keys")
        assert key.rpartition("_")[2] not in again.text
        assert "Billing" in again.text
        revoke = again.value(r'action="(/api-keys/[^"]+/revoked)"')
        assert (await anna.send(revoke, shown="/api-keys")).path == "/api-keys"
        assert (await program.ask("GET", "/whoami")).status == 401
        for fields in ({"name": "Billing"}, {"name": "", "meetings:read": "on"}):
            assert (await anna.send("/api-keys", fields)).status == 422


async def test_nobody_else_sees_or_makes_keys(site: Site) -> None:
    async with browser(site) as anna, browser(site) as boris, browser(site) as stranger:
        await set_up(anna)
        await join_as_member(anna, boris, "boris@example.org")
        assert (await stranger.open("/api-keys")).path == "/sign-in"
        assert (await boris.open("/api-keys")).status == 403
        asked = {"name": "x", "scopes": ["usage:read"]}
        for who, status in ((boris, 403), (stranger, 401)):
            async with who.web.get(f"{site.url}/api/v1/api-keys") as answer:
                assert answer.status == status
            async with who.web.post(
                f"{site.url}/api/v1/api-keys", json={"name": "x", "scopes": ["usage:read"]}
            ) as made:
                assert made.status == status
        evil = {"Origin": "https://evil.example"}
        asked = {"name": "x", "scopes": ["usage:read"]}
        async with anna.web.post(f"{site.url}/api/v1/api-keys", json=asked, headers=evil) as made:
            assert (made.status, (await made.json(content_type=None))["code"]) == (403, "wrong_origin")
        async with anna.web.post(f"{site.url}/api/v1/api-keys", json=asked) as made:
            assert made.status == 201
            key = await made.json()
        async with anna.web.get(f"{site.url}/api/v1/api-keys") as listed:
            assert [each["id"] for each in (await listed.json())["api_keys"]] == [key["api_key"]["id"]]
        async with anna.web.delete(f"{site.url}/api/v1/api-keys/{key['api_key']['id']}") as revoked:
            assert revoked.status == 204


async def test_who_is_signed_in_lists_their_own_meetings(site: Site) -> None:
    async with browser(site) as anna, browser(site) as boris:
        await set_up(anna)
        await join_as_member(anna, boris, "boris@example.org")
        for who, title in ((anna, "Anna's"), (boris, "Boris's")):
            async with who.web.post(f"{site.url}/api/v1/meetings", json={"title": title}) as made:
                assert made.status == 201
        async with boris.web.get(f"{site.url}/api/v1/meetings") as answer:
            assert [each["title"] for each in (await answer.json())["meetings"]] == ["Boris's"]
        async with boris.web.get(f"{site.url}/api/v1/whoami") as answer:
            own = (await answer.json())["account"]["id"]
        async with anna.web.get(f"{site.url}/api/v1/meetings?owner={own}") as answer:
            assert answer.status == 403
