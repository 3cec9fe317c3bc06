"""Camera and microphone that are refused, missing or busy: clear words, and joining without them works."""

from __future__ import annotations

import pytest
from playwright.async_api import async_playwright, expect

from tests.browser.people import FLAGS, Person, chromium, eventually, new_context, person, person_in
from tests.service import Service

MINUTE = 60_000.0  # milliseconds

# Another program has the camera: Windows and some drivers say so; Linux lets all share it, so the browser's answer is
# put in its place.
BUSY_CAMERA = """
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = (wish) => wish.video
  ? Promise.reject(new DOMException("Could not start video source", "NotReadableError")) : open(wish);
"""

# A machine that takes its time to list its devices.
SLOW_LIST = """
const list = navigator.mediaDevices.enumerateDevices.bind(navigator.mediaDevices);
navigator.mediaDevices.enumerateDevices = () => new Promise((done) => setTimeout(done, 2000)).then(list);
"""

FAKE_DEVICES = "--use-fake-device-for-media-stream"
FAKE_CONSENT = "--use-fake-ui-for-media-stream"


async def says(one: Person, words: str) -> None:
    await expect(one.page.get_by_role("alert").filter(has_text=words)).to_be_visible(timeout=MINUTE)


async def joins_without(one: Person) -> None:
    await one.page.get_by_test_id("join-button").click()
    await expect(one.tile(one.name)).to_have_attribute("data-video", "off", timeout=MINUTE)
    assert one.errors == []


@pytest.mark.parametrize(
    ("without", "words"),
    [
        (FAKE_CONSENT, "The browser blocks the microphone and the camera for this site."),
        (FAKE_DEVICES, "No microphone and no camera found."),
    ],
    ids=["refused", "missing"],
)
async def test_devices_that_do_not_open_are_explained(service: Service, without: str, words: str) -> None:
    flags = [flag for flag in FLAGS if flag != without]
    async with async_playwright() as playwright, chromium(playwright, flags=flags) as browser:
        anna = await person_in(await new_context(browser), "Anna")
        await anna.open(service.new_meeting())
        await anna.page.get_by_test_id("name-input").fill("Anna")
        allow = anna.page.get_by_test_id("allow-devices")
        if await allow.is_visible():
            await allow.click()
        await says(anna, words)
        await joins_without(anna)


async def test_a_busy_camera_is_named_and_the_microphone_works(service: Service) -> None:
    async with (
        async_playwright() as playwright,
        person(playwright, "Anna") as anna,
        person(playwright, "Boris") as boris,
    ):
        await anna.page.add_init_script(BUSY_CAMERA)
        link = service.new_meeting()
        await anna.open(link)
        await anna.page.get_by_test_id("name-input").fill("Anna")
        allow = anna.page.get_by_test_id("allow-devices")
        if await allow.is_visible():
            await allow.click()
        await says(anna, "Another program is using the camera.")
        await joins_without(anna)
        await boris.join(link)
        await boris.hears(1)
        await expect(boris.tile("Anna")).to_have_attribute("data-muted", "false")


async def test_who_joins_before_the_devices_are_open_takes_them_along(service: Service) -> None:
    async with async_playwright() as playwright, person(playwright, "Anna") as anna:
        await anna.page.add_init_script(SLOW_LIST)
        await anna.open(service.new_meeting())
        await anna.page.get_by_test_id("name-input").fill("Anna")
        await anna.page.get_by_test_id("join-button").click()
        await expect(anna.tile("Anna")).to_have_attribute("data-video", "on", timeout=MINUTE)
        await expect(anna.tile("Anna")).to_have_attribute("data-muted", "false", timeout=MINUTE)


async def test_another_camera_and_no_microphone_inside_the_meeting(service: Service) -> None:
    cameras = [f"{flag}=device-count=3" if flag == FAKE_DEVICES else flag for flag in FLAGS]
    async with (
        async_playwright() as playwright,
        chromium(playwright, flags=cameras) as browser,
        person(playwright, "Boris") as boris,
    ):
        anna = await person_in(await new_context(browser), "Anna")
        link = service.new_meeting()
        await anna.join(link)
        await boris.join(link)
        await boris.moving("Anna")
        first = await camera_of(anna)
        await anna.page.get_by_role("button", name="Camera settings").click()
        # Chromium's second fake camera makes depth pictures, which no encoder takes: the third it is.
        await anna.page.locator("[role=menuitemradio][aria-checked=false]").last.click()

        async def changed() -> bool:
            return await camera_of(anna) not in ("", first)

        await eventually(changed, "Anna's own picture comes from the other camera")
        await boris.moving("Anna")

        await anna.page.get_by_test_id("toolbar-mic").click()
        await expect(boris.tile("Anna")).to_have_attribute("data-muted", "true", timeout=MINUTE)
        await anna.page.get_by_test_id("toolbar-mic").click()
        await expect(boris.tile("Anna")).to_have_attribute("data-muted", "false", timeout=MINUTE)
        await boris.hears(1)
        assert anna.errors == boris.errors == []


async def camera_of(one: Person) -> str:
    """The device that the own picture comes from, "" while there is none."""
    video = one.tile(one.name).locator("video")
    found: str = await video.evaluate("(video) => video.srcObject?.getVideoTracks()[0]?.getSettings().deviceId ?? ''")
    return found
