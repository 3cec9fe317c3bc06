"""Pages: in the reader's language, over HTTPS, and loading nothing from anywhere else."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from yarl import URL

from server.pages import language
from server.pages.rendering import TEMPLATES
from server.pages.security import CONTENT_SECURITY_POLICY
from tests.application import Site, running_site

HTML = {"Accept": "text/html,application/xhtml+xml", "Host": "localhost:8080"}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(tmp_path, {"http.tls_port": 9443}) as running:
        yield running


async def page(site: Site, path: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    given = HTML | {name.replace("_", "-"): value for name, value in headers.items()}
    async with site.web.get(site.url + path, headers=given, allow_redirects=False) as answer:
        return answer.status, await answer.text(), dict(answer.headers)


async def meeting(site: Site, title: str = "") -> str:
    async with site.web.post(f"{site.url}/api/v1/meetings", json={"title": title}) as answer:
        return str((await answer.json())["code"])


class Reader(HTMLParser):
    """Collects what a page loads, and what would run inline."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self.data: dict[str, object] = {}
        self._script: dict[str, str | None] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.inline += [f"{tag} {name}" for name in given if name.startswith("on") or name == "style"]
        self.inline += [tag] if tag == "style" else []
        self._script = given if tag == "script" else None
        wanted = {"link": "href", "script": "src", "img": "src", "iframe": "src", "form": "action"}.get(tag, "")
        if given.get(wanted):
            self.loaded.append(str(given[wanted]))

    def handle_data(self, text: str) -> None:
        if self._script is None or not text.strip():
            return
        if self._script.get("type") == "application/json":
            self.data = json.loads(text)
        else:
            self.inline.append(text)

    def handle_endtag(self, tag: str) -> None:
        self._script = None


async def pages(site: Site) -> dict[str, str]:
    code = await meeting(site, "</script><b>Weekly & co")
    paths = ("/", f"/m/{code}", "/m/bcdf-ghjk-mnpq", "/m?code=nonsense", "/nothing")
    return {path: (await page(site, path))[1] for path in paths}


async def test_no_page_runs_inline_code_or_loads_from_elsewhere(site: Site) -> None:
    for path, text in (await pages(site)).items():
        reader = Reader(text)
        assert reader.inline == [], path
        assert reader.loaded, path
        for address in reader.loaded:
            parts = urlsplit(address)
            assert (parts.scheme, parts.netloc) in (("", ""), ("data", "")), (path, address)
            if parts.path.startswith("/assets/"):
                async with site.web.get(site.url + address) as answer:
                    assert answer.status == 200, address


async def test_the_policy_allows_this_server_alone(site: Site) -> None:
    for path in ("/", f"/m/{await meeting(site)}", "/nothing", "/healthz", "/api/v1/openapi.json", "/assets/none.js"):
        _, _, headers = await page(site, path)
        policy = headers["Content-Security-Policy"]
        assert policy == CONTENT_SECURITY_POLICY
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "camera=(self)" in headers["Permissions-Policy"]
        assert headers["Server"] == "veche"
        assert "Access-Control-Allow-Origin" not in headers
    rules = dict(rule.split(" ", 1) for rule in CONTENT_SECURITY_POLICY.split("; "))
    assert rules["script-src"] == "'self'"
    assert {"default-src", "object-src", "base-uri", "frame-ancestors"} <= set(rules)
    assert not re.search(r"unsafe|https?:|wss?:|\*", CONTENT_SECURITY_POLICY)


async def test_a_title_is_text_and_never_markup(site: Site) -> None:
    code = await meeting(site, "</script><script>alert(1)</script>")
    _, text, _ = await page(site, f"/m/{code}")
    reader = Reader(text)
    assert reader.inline == []
    assert reader.data["title"] == "</script><script>alert(1)</script>"
    assert reader.data["code"] == code
    _, text, _ = await page(site, "/m?code=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert Reader(text).inline == []


async def test_plain_http_leads_to_https_but_for_this_machine(site: Site) -> None:
    code = await meeting(site)
    for path in ("/", f"/m/{code}?lang=ru", "/m?code=x"):
        status, _, headers = await page(site, path, Host="meet.example.org:8080")
        assert (status, headers["Location"]) == (307, f"https://meet.example.org:9443{path}")
        assert headers["Cache-Control"] == "no-store"
        status, _, headers = await page(site, path, Host="[2001:db8::7]:8080")
        assert (status, headers["Location"]) == (307, f"https://[2001:db8::7]:9443{path}")
    for host in ("localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080"):
        assert (await page(site, f"/m/{code}", Host=host))[0] == 200
    for path in ("/rtc/validate", "/healthz", "/api/v1/openapi.json"):
        assert (await page(site, path, Host="meet.example.org:8080"))[0] != 307


async def test_without_https_nothing_leads_to_it_and_behind_a_proxy_that_ends_it_neither(tmp_path: Path) -> None:
    async with running_site(tmp_path, {"http.tls_port": 0}) as plain:
        assert (await page(plain, "/", Host="meet.example.org"))[0] == 200
    async with running_site(tmp_path, {"http.trusted_proxies": "127.0.0.1"}) as behind:
        assert (await page(behind, "/", Host="meet.example.org", X_Forwarded_Proto="https"))[0] == 200
        status, _, headers = await page(behind, "/", X_Forwarded_Host="meet.example.org", X_Forwarded_Proto="http")
        assert (status, headers["Location"]) == (307, "https://meet.example.org:8443/")


@pytest.mark.parametrize("host", ["", "a b", "evil.example/@x", "host:notaport", "\x01", "x" * 5000])
async def test_an_odd_host_leads_nowhere(site: Site, host: str) -> None:
    try:
        status, _, headers = await page(site, "/", Host=host)
    except ValueError:  # a client that refuses to send it
        return
    assert status in (307, 400, 404, 422)
    if status == 307:
        assert urlsplit(headers["Location"]).scheme == "https"


async def test_programs_hear_ok_where_people_see_the_landing_page(site: Site) -> None:
    async with site.web.get(f"{site.url}/") as answer:
        assert (answer.status, await answer.text()) == (200, "OK")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    for headers in ({}, HTML, {"Origin": "https://elsewhere.example", "Host": "meet.example.org"}):
        async with site.web.head(f"{site.url}/", headers=headers) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
            assert headers is HTML or answer.headers["Access-Control-Allow-Origin"] == "*"
    assert 'data-testid="new-meeting"' in (await page(site, "/"))[1]


@pytest.mark.parametrize(
    ("path", "headers", "locale"),
    [
        ("/", {}, "en"),
        ("/", {"Accept_Language": "ru"}, "ru"),
        ("/", {"Accept_Language": "ru-RU,ru;q=0.9,en;q=0.8"}, "ru"),
        ("/", {"Accept_Language": "de,en;q=0.9,ru;q=0.8"}, "en"),
        ("/", {"Accept_Language": "en;q=0.5,ru;q=0.6"}, "ru"),
        ("/", {"Accept_Language": "ru;q=0,en"}, "en"),
        ("/", {"Accept_Language": ";;;,q=,ru;q=x,,*"}, "en"),
        ("/?lang=ru", {"Accept_Language": "en"}, "ru"),
        ("/?lang=xx", {"Accept_Language": "ru"}, "ru"),
        ("/", {"Accept_Language": "en", "Cookie": "veche_locale=ru"}, "ru"),
        ("/?lang=en", {"Cookie": "veche_locale=ru"}, "en"),
    ],
)
async def test_a_page_speaks_the_readers_language(site: Site, path: str, headers: dict[str, str], locale: str) -> None:
    status, text, given = await page(site, path, **headers)
    assert (status, given["Content-Language"]) == (200, locale)
    assert f'<html lang="{locale}">' in text
    assert ("Новая встреча" if locale == "ru" else "New meeting") in text
    assert {"Accept-Language", "Cookie"} <= {name.strip() for name in given["Vary"].split(",")}


async def test_a_chosen_language_is_remembered(site: Site) -> None:
    async with site.web.get(f"{site.url}/?lang=ru", headers=HTML) as answer:
        cookie = answer.cookies["veche_locale"]
        assert (cookie.value, cookie["httponly"], cookie["samesite"]) == ("ru", True, "Lax")
        assert 'href="/?lang=en"' in await answer.text()
    async with site.web.get(f"{site.url}/", headers=HTML) as answer:
        assert "veche_locale" not in answer.cookies


async def test_a_wrong_code_says_so_on_the_page_in_both_languages(site: Site) -> None:
    for code, path in (("bcdf-ghjk-mnpq", "/m/bcdf-ghjk-mnpq"), ("nonsense", "/m?code=nonsense")):
        for locale, words in (("en", "no"), ("ru", "нет")):
            status, text, headers = await page(site, path, Accept_Language=locale)
            assert status == 404
            assert words in text
            assert headers["Content-Language"] == locale
            if "?" in path:
                assert f'value="{code}"' in text
                assert 'role="alert"' in text


async def test_a_typed_code_leads_to_the_meeting(site: Site) -> None:
    code = await meeting(site)
    status, _, headers = await page(site, f"/m?code={code.upper().replace('-', '+')}")
    assert (status, headers["Location"]) == (303, f"/m/{code}")


async def test_what_is_not_there_is_a_page_for_people_and_a_line_for_programs(site: Site) -> None:
    status, text, headers = await page(site, "/nothing")
    assert (status, headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert 'data-testid="problem"' in text
    status, text, headers = await page(site, "/nothing", Accept="*/*")
    assert (status, text, headers["Content-Type"]) == (404, "Not Found", "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../../pyproject.toml",
        "/assets/%2e%2e/%2e%2e/pyproject.toml",
        "/assets/..%2f..%2fpyproject.toml",
        "/assets//etc/passwd",
        "/assets/.vite/manifest.json",
        "/assets/",
        "/assets/%00",
        f"/assets/{'x' * 5000}",
    ],
    ids=["dots", "coded dots", "coded slashes", "root", "hidden", "folder", "NUL", "long"],
)
async def test_no_other_file_is_served(site: Site, path: str) -> None:
    async with site.web.get(URL(site.url + path, encoded=True)) as answer:
        assert answer.status == 404
        assert b"project" not in await answer.read()


async def test_hashed_files_stay_and_others_are_asked_for_again(site: Site) -> None:
    script = next(address for address in Reader((await page(site, "/"))[1]).loaded if address.endswith(".js"))
    _, _, headers = await page(site, script)
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    _, _, headers = await page(site, "/")
    assert headers["Cache-Control"] == "no-cache"


def texts_of_templates() -> Iterator[str]:
    """What stands in `_("...")` in the templates."""
    for _, _, message, _, _ in extract_from_dir(
        str(TEMPLATES), [("**.html", "jinja2"), ("**.txt", "jinja2")], options_map={}
    ):
        yield str(message)


def test_every_text_is_translated_and_none_is_left_over() -> None:
    wanted = set(texts_of_templates())
    assert "New meeting" in wanted
    for name in language.LANGUAGES[1:]:
        with (language.LOCALES / f"{name}.po").open("rb") as file:
            catalogue = read_po(file, locale=name)
        translated = {str(message.id): str(message.string) for message in catalogue if message.id}
        assert set(translated) == wanted
        assert all(translated.values())
        for text, other in translated.items():
            assert set(re.findall(r"%\(\w+\)s", text)) == set(re.findall(r"%\(\w+\)s", other)), text
