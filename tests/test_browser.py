"""People decide in a real browser, in the approvals example: headless Chromium, by Playwright."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from golem_client import GolemClient, PromiseId, RetryPolicy
from golem_client.links import PromiseLinks
from golem_client.testing import FakeGolem

APP = Path(__file__).parent.parent / "examples" / "approvals" / "app.py"
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
KEY = "browser-test-" * 4
expect.set_options(timeout=30_000)
SHOTS = os.environ.get("SCREENSHOTS")  # a folder to look at the pages in

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        CHROMIUM is None, reason="there is no chromium: apt-get install chromium-headless-shell"
    ),
]


@attrs.frozen
class Site:
    """The approvals app on a port, a fake Golem behind it, and a browser before it."""

    url: str
    golem: FakeGolem
    app: Any
    person: BrowserContext
    links: PromiseLinks

    async def ask(self, question: str) -> PromiseId:
        """Ask as a worker does."""
        name = f"w{len(self.golem.requests)}-{abs(hash(question))}"
        promise_id = self.golem.create_promise(worker_name=name)
        asked = self.app.Question(promise_id=promise_id, question=question)
        await self.app.app.state.approvals.ask(asked)
        return promise_id

    async def open(self, path: str) -> Page:
        page = await self.person.new_page()
        await page.goto(self.url + path)
        return page

    async def choose(self, question: str, choice: str) -> Page:
        """Open the list, and follow a link in it."""
        page = await self.open("/")
        row = page.get_by_role("listitem").filter(has_text=question)
        await row.get_by_role("link", name=choice).click()
        return page

    def link(self, promise_id: PromiseId, route: str = "decide") -> str:
        token = self.links.token(promise_id, {"approved": True}, expires_in=60)
        return f"/{route}/{token}"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("approvals", APP)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    quick = RetryPolicy(max_attempts=2, min_delay=0.001)
    async with (
        FakeGolem() as golem,
        GolemClient(golem.url, token=golem.token, retry=quick) as client,
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GOLEM_URL", golem.url)
            patch.setenv("GOLEM_AUTH_TOKEN", golem.token)
            patch.setenv("APPROVALS_KEY", KEY)
            patch.setenv("APPROVALS_DATABASE", str(tmp_path_factory.mktemp("a") / "a.sqlite"))
            approvals = load()
            links = PromiseLinks([KEY], purpose="approval")
            direct = links.starlette(client, question="Approve order 17?", button="Approve")
            approvals.app.add_route("/direct/{token}", direct, methods=["GET", "HEAD", "POST"])
            config = uvicorn.Config(approvals.app, port=0, log_level="critical", ws="none")
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server._serve())
            async with asyncio.timeout(20):
                while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                    await asyncio.sleep(0.01)
            url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            person = await browser.new_context(viewport={"width": 390, "height": 780})
            person.set_default_timeout(30_000)
            yield Site(url, golem, approvals, person, links)
            await person.close()
            server.should_exit = True
            server.force_exit = True
            await serving


async def says(page: Page, words: str | re.Pattern[str], shot: str = "") -> None:
    """Wait until the page's heading is this."""
    await expect(page.get_by_role("heading", level=1)).to_have_text(words)
    if SHOTS and shot:
        await page.screenshot(path=f"{SHOTS}/{shot}.png")


async def press(page: Page, button: str) -> None:
    await page.get_by_role("button", name=button).click()


@pytest.mark.parametrize(("choice", "approved"), [("Approve", True), ("Reject", False)])
async def test_a_person_decides(site: Site, choice: str, approved: bool) -> None:
    """From the list to the worker, and back to the list."""
    question = f"{choice} order 1?"
    promise_id = await site.ask(question)
    page = await site.choose(question, choice)
    await says(page, question, f"ask-{choice}")
    assert site.golem.payload(promise_id) is None
    await press(page, choice)
    await says(page, "Thank you. Your decision is recorded.", "recorded")
    async with asyncio.timeout(20):
        assert await site.golem.await_promise_json(promise_id) == {"approved": approved}
    await site.app.app.state.approvals.tell(
        site.app.Result(promise_id=promise_id, result="an answer")
    )
    await site.app.app.state.approvals.outbox.wait(promise_id, timeout=20)
    listed = await site.open("/")
    row = listed.get_by_role("listitem").filter(has_text=question)
    assert "Decided here · the worker received" in await row.inner_text()
    assert await row.get_by_role("link").count() == 0
    await says(listed, "Approvals", "list-after")


async def test_the_keyboard_is_enough(site: Site) -> None:
    """One tab, one key: the button is the only thing to reach."""
    promise_id = await site.ask("Keyboard?")
    page = await site.open(site.link(promise_id))
    await page.keyboard.press("Tab")
    focused = page.locator(":focus")
    assert await focused.inner_text() == "Approve"
    if SHOTS:
        await page.screenshot(path=f"{SHOTS}/focus.png")
    await page.keyboard.press("Enter")
    await says(page, "Thank you. Your decision is recorded.")


async def test_a_screen_reader_finds_one_heading_and_one_named_button(site: Site) -> None:
    """And the language and the title."""
    page = await site.open(site.link(await site.ask("Accessible?")))
    assert await page.locator("html").get_attribute("lang") == "en"
    assert await page.title() == "Accessible?"
    assert await page.get_by_role("main").count() == 1
    assert await page.get_by_role("heading").count() == 1
    assert await page.get_by_role("button").all_inner_texts() == ["Approve"]


async def test_a_double_click_decides_once_and_says_so(site: Site) -> None:
    """Whichever of the two answers the browser shows, it is true."""
    promise_id = await site.ask("Double click?")
    page = await site.open(site.link(promise_id, route="direct"))
    await page.get_by_role("button").dblclick()
    await says(page, re.compile("Your decision counts|A decision had been made before"), "double")
    assert site.golem.payload(promise_id) == b'{"approved":true}'


async def test_the_back_button_asks_again_and_then_tells(site: Site) -> None:
    """The page is not cached; a second press changes nothing."""
    promise_id = await site.ask("Back?")
    page = await site.open(site.link(promise_id, route="direct"))
    await press(page, "Approve")
    await says(page, "Thank you. Your decision counts.", "counts")
    await page.go_back()
    await says(page, "Approve order 17?")
    await press(page, "Approve")
    await says(page, "A decision had been made before.", "before")


async def test_an_expired_and_a_forged_link_offer_no_button(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They say what to do instead."""
    promise_id = await site.ask("Expired?")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    expired = site.link(promise_id)
    monkeypatch.undo()
    page = await site.open(expired)
    await says(page, "This link has expired.", "expired")
    await expect(page.get_by_role("button")).to_have_count(0)
    page = await site.open(site.link(promise_id)[:-3])
    await says(page, "This link is not valid.", "invalid")
    await expect(page.get_by_role("button")).to_have_count(0)


async def test_golem_away_and_back(site: Site) -> None:
    """The button to try again decides."""
    promise_id = await site.ask("Away?")
    page = await site.open(site.link(promise_id, route="direct"))
    site.golem.fail_next(503, times=2)
    await press(page, "Approve")
    await says(page, "That did not work.", "away")
    await press(page, "Try again")
    await says(page, "Thank you. Your decision counts.")
    assert site.golem.payload(promise_id) == b'{"approved":true}'


async def test_with_an_outbox_golem_may_be_away(site: Site) -> None:
    """The decision is recorded, and delivered when Golem is back."""
    promise_id = await site.ask("Away with an outbox?")
    page = await site.open(site.link(promise_id))
    site.golem.fail_next(503, times=3)
    await press(page, "Approve")
    await says(page, "Thank you. Your decision is recorded.")
    async with asyncio.timeout(20):
        assert await site.golem.await_promise_json(promise_id) == {"approved": True}


async def test_two_tabs_that_decide_differently(site: Site) -> None:
    """The first one is recorded, and the second one is told."""
    promise_id = await site.ask("Two tabs?")
    yes = await site.choose("Two tabs?", "Approve")
    no = await site.choose("Two tabs?", "Reject")
    await press(no, "Reject")
    await says(no, "Thank you. Your decision is recorded.")
    await press(yes, "Approve")
    await says(yes, "A decision had been made before.")
    async with asyncio.timeout(20):
        assert await site.golem.await_promise_json(promise_id) == {"approved": False}


async def test_a_scanner_that_follows_every_link_decides_nothing(site: Site) -> None:
    """GET and HEAD, as mail scanners do."""
    promise_id = await site.ask("Scanned?")
    url = site.url + site.link(promise_id)
    for method in ("GET", "HEAD"):
        answer = await site.person.request.fetch(url, method=method)
        assert answer.status == 200
    approvals = site.app.app.state.approvals
    assert await approvals.outbox.entry(promise_id) is None


async def test_a_hostile_question_is_only_text(site: Site) -> None:
    """On the list and on the page, where no script may run and nothing is loaded."""
    question = "<img src=x onerror=\"document.title='hacked'\">" + "unbroken" * 40
    promise_id = await site.ask(question)
    listed = await site.open("/")
    page = await site.open(site.link(promise_id))
    for each in (listed, page):
        assert question in await each.locator("body").inner_text()
        assert await each.locator("img").count() == 0
        assert await each.title() != "hacked"
        wide = await each.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        assert not wide
    await says(listed, "Approvals", "list")
    await says(page, question, "hostile")


async def test_the_style_is_applied_under_the_policy(site: Site) -> None:
    """The hash in the header is the style's own; a finger can hit the button."""
    page = await site.open(site.link(await site.ask("Styled?")))
    box = await page.get_by_role("button").bounding_box()
    assert box is not None
    assert box["height"] >= 48
    assert box["width"] > 250
