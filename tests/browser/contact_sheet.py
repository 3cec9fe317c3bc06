"""Takes a picture of every page and every state of the client, and puts all on one sheet to look at. Asserts nothing.

Run by `make contact-sheet`; by hand, for a few of them:

    .venv/bin/python tests/browser/contact_sheet.py FOLDER --sizes 1440 320 --looks ru-dark --only landing chat
"""

from __future__ import annotations

import argparse
import asyncio
import html
import itertools
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.browser.screens import FIND_OVERFLOW, SIZES, Gallery, Look, Screen, gallery
from tests.network import enter

THUMBNAIL = 300
"""Width of a picture on the sheet, in pixels; each leads to the whole one."""
STYLE = f"""
body {{ font: 14px sans-serif; margin: 16px; background: #888; }}
table {{ border-spacing: 8px; }} th {{ position: sticky; top: 0; background: #888; }} th:first-child {{ left: 0; }}
td {{ vertical-align: top; }} img {{ width: {THUMBNAIL}px; display: block; }}
"""


async def take(gallery: Gallery, looks: Sequence[Look], screens: Sequence[Screen], folder: Path) -> None:
    """Pictures of all screens in these looks, one after the other."""
    for look in looks:
        for screen in screens:
            page = await gallery.open(screen, look)
            if page is None:
                continue
            await page.wait_for_timeout(300)  # pictures of the stories are painted
            await page.screenshot(path=folder / picture(screen, look))
            for frame in page.frames:
                for line in await frame.evaluate(FIND_OVERFLOW):
                    print(f"{screen.name} {look.name}: {line}")
        await gallery.close(look)


def picture(screen: Screen, look: Look) -> str:
    return f"{re.sub(r'[^a-z0-9]+', '-', screen.name.lower())}-{look.name}.png"


def sheet(screens: Sequence[Screen], looks: Sequence[Look], folder: Path) -> str:
    """The page with everything: a row for each screen, a column for each look."""
    rows = []
    for screen in screens:
        cells = [
            f'<td><a href="{name}"><img loading="lazy" src="{name}" alt=""></a></td>'
            if (folder / name).exists()
            else "<td></td>"
            for name in (picture(screen, look) for look in looks)
        ]
        rows.append(f"<tr><th>{html.escape(screen.name)}</th>{''.join(cells)}</tr>")
    head = "".join(f"<th>{look.name}</th>" for look in looks)
    table = f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"
    return f"<!doctype html><meta charset=utf-8><title>Veche: every screen</title><style>{STYLE}</style>{table}"


async def work(arguments: argparse.Namespace, data: Path) -> None:
    folder: Path = arguments.folder
    async with gallery(data) as shown:
        screens = [screen for screen in shown.screens if not arguments.only or screen.name in arguments.only]
        by_size = {size: [Look(size, *look.split("-")) for look in arguments.looks] for size in arguments.sizes}
        async with asyncio.TaskGroup() as group:
            for looks in by_size.values():
                group.create_task(take(shown, looks, screens, folder))
        (folder / "sheet.html").write_text(sheet(screens, [*itertools.chain(*by_size.values())], folder))
        for size, looks in by_size.items():
            path = folder / f"sheet-{size}.html"
            path.write_text(sheet(screens, looks, folder))
            await photograph(shown, path, width=200 + (THUMBNAIL + 10) * len(looks))


async def photograph(gallery: Gallery, path: Path, width: int) -> None:
    """The sheet itself as one picture, beside it."""
    page = await gallery.browser.new_page(viewport={"width": width, "height": 900})
    await page.goto(path.as_uri())
    await page.evaluate("for (const one of document.images) one.loading = 'eager'")
    await page.wait_for_function("[...document.images].every((one) => one.complete)")
    await page.screenshot(path=path.with_suffix(".png"), full_page=True)
    await page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=lambda text: Path(text).resolve())
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["1440", "1024", "390"])
    parser.add_argument("--looks", nargs="+", default=["ru-light", "ru-dark", "en-light", "en-dark"])
    parser.add_argument("--only", nargs="+", metavar="SCREEN", help="names of screens, as they stand on the sheet")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    enter()
    with tempfile.TemporaryDirectory() as data:
        asyncio.run(work(arguments, Path(data)))
    print(f"every screen: {arguments.folder}/sheet.html")


if __name__ == "__main__":
    main()
