"""Takes screenshots of the stories to look at, with `npm run stories` running beside it. Reports what overflows.

shoot.py FOLDER [--sizes wide phone ...] [--looks ru-light ...] [story ...]
"""

import argparse
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ADDRESS = "http://127.0.0.1:5199/"
SIZES = {
    "wide": (1440, 900),
    "middle": (1024, 768),
    "phone": (390, 844),
    "small": (320, 568),  # WCAG 1.4.10
    "zoomed": (720, 450),  # 1440x900 at 200 %
    "lying": (844, 390),
    "huge": (3840, 2160),
}
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]

# Screens that a click opens: name -> (story, what to click, one after the other).
MORE = "[data-testid=toolbar-more]"
OPENED = {
    "more": ("four", [MORE]),
    "settings": ("four", [MORE, "[role=menuitem]:last-child >> nth=-1"]),
    "looks": ("prejoin", [".prejoin-head button"]),
    "microphones": ("four", [".device-button .chevron >> nth=0"]),
    "cameras": ("four", [".device-button .chevron >> nth=1"]),
}

# What sticks out of the window, or of a part that cuts it off without scrolling.
FIND_OVERFLOW = """() => {
  const found = [];
  const name = (element) => `${element.tagName}.${element.className} ${element.textContent.slice(0, 30)}`;
  const parts = "button, a, p, h1, h2, input, select, textarea, label, .menu, .panel, .dialog, .tool-label";
  for (const element of document.querySelectorAll(parts)) {
    const box = element.getBoundingClientRect();
    if (box.width === 0 || getComputedStyle(element).opacity === "0") continue;
    if (box.left < -1 || box.right > innerWidth + 1) found.push(`sticks out: ${name(element)}`);
    for (let outer = element.parentElement; outer; outer = outer.parentElement) {
      const edge = outer.getBoundingClientRect();
      const clips = getComputedStyle(outer).overflowX === "hidden";
      if (clips && (box.left < edge.left - 1 || box.right > edge.right + 1)) found.push(`is cut: ${name(element)}`);
    }
  }
  return found;
}"""


def shoot(page: Page, name: str, locale: str, theme: str, path: Path) -> None:
    story, clicks = OPENED.get(name, (name, []))
    page.goto(f"{ADDRESS}?story={story}&locale={locale}&theme={theme}&name=")
    page.wait_for_timeout(500)  # pictures are painted
    for target in clicks:
        if not page.locator(target).is_visible():
            return  # small screens have fewer buttons
        page.locator(target).click()
    page.wait_for_timeout(300)  # animations are over
    page.screenshot(path=path)
    for line in page.evaluate(FIND_OVERFLOW):
        print(f"{path.stem}: {line}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("stories", nargs="*")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["wide", "middle", "phone"])
    parser.add_argument("--looks", nargs="+", default=["ru-light", "en-dark"])
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        for size in arguments.sizes:
            width, height = SIZES[size]
            page = browser.new_page(viewport={"width": width, "height": height})
            stories = arguments.stories
            if not stories:
                page.goto(ADDRESS)
                stories = [*page.evaluate("window.stories"), *OPENED]
            for look in arguments.looks:
                locale, theme = look.split("-")
                for name in stories:
                    shoot(page, name, locale, theme, arguments.folder / f"{name}-{size}-{look}.png")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
