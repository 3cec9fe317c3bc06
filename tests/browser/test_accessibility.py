"""axe finds nothing serious or critical on any page or in any state of the client, and nothing sticks out of it."""

from __future__ import annotations

from pathlib import Path

from tests.browser.screens import FIND_OVERFLOW, Look, gallery
from tests.service import ROOT

AXE = ROOT / "static" / "node_modules" / "axe-core" / "axe.min.js"
# Each screen in both themes, both languages, wide and narrow.
LOOKS = (Look("1440", "en", "dark"), Look("390", "ru", "light"))
GRAVE = ("serious", "critical")
# Each frame by itself: none is asked by the page around it.
RUN = """async () => (await axe.run({ iframes: false, resultTypes: ["violations"] })).violations.map((found) => ({
  rule: found.id, impact: found.impact,
  places: found.nodes.map((node) => `${node.target.join(" ")}: ${node.any.map((check) => check.message).join("; ")}`),
}))"""


async def test_every_screen_can_be_used_by_everybody(network: None, tmp_path: Path) -> None:
    wrong = []
    async with gallery(tmp_path) as shown:
        for look in LOOKS:
            for screen in shown.screens:
                page = await shown.open(screen, look)
                if page is None:
                    continue
                for frame in page.frames:
                    await frame.evaluate(AXE.read_text())  # not as a script of the page: its policy would refuse that
                    for found in await frame.evaluate(RUN):
                        if found["impact"] in GRAVE:
                            places = found["places"]
                            wrong += [f"{screen.name} {look.name}: {found['rule']}: {place}" for place in places]
                    wrong += [f"{screen.name} {look.name}: {line}" for line in await frame.evaluate(FIND_OVERFLOW)]
            await shown.close(look)
    assert not wrong, "\n".join(wrong)
