"""Takes screenshots of every screen for people to look at: sizes, languages, light and dark. Asserts nothing.

.venv/bin/python tests/browser/screens.py FOLDER
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from playwright.async_api import Browser, async_playwright

from tests.browser.people import Person, chromium, new_context, person, person_in
from tests.network import enter
from tests.service import Service, running_service

SIZES = {"1440": (1440, 900), "1024": (1024, 768), "390": (390, 844)}
LANGUAGES = {"ru": "ru-RU", "en": "en-US"}
SCHEMES = ("light", "dark")
OTHERS = ("Борис Годунов", "Vera Wang", "Константин Константинопольский")


async def take(service: Service, folder: Path) -> None:
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        link = service.new_meeting()
        for name in OTHERS:
            other = await stack.enter_async_context(person(playwright, name))
            await other.join(link)
        browser = await stack.enter_async_context(chromium(playwright))
        for (size, (width, height)), (language, locale), scheme in itertools.product(
            SIZES.items(), LANGUAGES.items(), SCHEMES
        ):
            view: dict[str, object] = {
                "viewport": {"width": width, "height": height},
                "locale": locale,
                "color_scheme": scheme,
            }
            await every_screen(browser, view, service, link, folder, f"{size}-{language}-{scheme}")


async def every_screen(
    browser: Browser, view: dict[str, object], service: Service, link: str, folder: Path, suffix: str
) -> None:
    context = await new_context(browser, **view)
    guest = await person_in(context, "Анна Каренина")

    async def save(screen: str) -> None:
        await guest.page.wait_for_timeout(700)  # transitions end
        await guest.page.screenshot(path=folder / f"{screen}-{suffix}.png")

    await guest.open(service.https)
    await save("landing")
    await guest.open(link)
    await guest.page.get_by_test_id("name-input").wait_for()
    await save("preview-asking")
    await guest.enter()
    await everybody_moves(guest)
    await save("meeting")
    await guest.page.get_by_test_id("toolbar-chat").click()
    await guest.page.get_by_test_id("chat-input").fill("Добрый день! Слышно ли меня? https://example.org/agenda")
    await guest.page.get_by_test_id("chat-send").click()
    await save("chat")
    await guest.page.keyboard.press("Escape")
    await guest.page.get_by_test_id("toolbar-participants").click()
    await save("participants")
    await guest.page.keyboard.press("Escape")
    await guest.page.get_by_test_id("toolbar-leave").click()
    await guest.page.get_by_test_id("left-page").wait_for()
    await save("left")
    await context.close()


async def everybody_moves(guest: Person) -> None:
    for name in OTHERS:
        await guest.moving(name, at_least=3)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "tests/browser/screenshots").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    enter()
    with tempfile.TemporaryDirectory() as data, running_service(Path(data)) as service:
        asyncio.run(take(service, folder))
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")


if __name__ == "__main__":
    main()
