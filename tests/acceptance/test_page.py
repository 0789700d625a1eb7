"""The page in a real Chromium, the Debian package ``chromium``, by Playwright.

With ``SPOOL_PICTURES`` set to a directory, pictures of the page are left there.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from spoolcalc import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Process
    from http_server import Server

pytestmark = [
    pytest.mark.system,
    # Playwright's own loop and pipes are closed by its process, not by ours.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.timeout(180),
]

CHROMIUM = "/usr/bin/chromium"
#: Nothing of the browser's own goes out.
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


class Browser:
    """Opens pages, and keeps what went wrong in them and whom they asked."""

    def __init__(self, chromium: Any, server: Server) -> None:
        self._chromium = chromium
        self.server = server
        self.troubles: list[str] = []
        self.asked: list[str] = []

    @contextmanager
    def page(self, path: str = "/", **options: Any) -> Iterator[Any]:
        """Open a page for the length of the block."""
        context = self._chromium.new_context(**options)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda m: self.troubles.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(self.server.url + path)
        try:
            yield page
        finally:
            context.close()


@pytest.fixture
def browser(http: Server) -> Iterator[Browser]:
    """Start Chromium; at the end nothing has gone wrong in it, and it has asked nobody else."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, chromium_sandbox=False
        )
        browser = Browser(chromium, http)
        yield browser
        chromium.close()
    assert browser.troubles == []
    assert {url for url in browser.asked if not url.startswith(http.url)} == set()


@pytest.fixture
def worker(http: Server, start: Callable[..., Process]) -> Process:
    """Run the jobs of the server's spool."""
    return start("--spool", http.spool.path, "work", "-j", "2", "-q")


def test_a_job_is_submitted_and_seen_to_finish(browser: Browser, worker: Process) -> None:
    """By keyboard alone, and without a reload."""
    with browser.page() as page:
        page.wait_for_selector("#live:has-text('live')")
        page.wait_for_selector("#operation option", state="attached")
        page.evaluate("window.mark = 1")
        page.focus("#operation")
        page.keyboard.type("mul")
        page.keyboard.press("Tab")
        page.keyboard.type("6 7")
        page.keyboard.press("Enter")
        page.wait_for_selector("#fields dd:has-text('42')")
        page.wait_for_selector("#fields dd.state-completed")
        assert "mul 6 7" in page.inner_text("#story-title")
        page.keyboard.press("Tab")
        page.click("text=Fetch")
        page.wait_for_selector("#fields dd.state-retrieved")
        page.click("#counts button:has-text('retrieved')")
        page.wait_for_selector("#jobs tr:has-text('mul 6 7')")
        assert page.evaluate("window.mark") == 1
    assert worker.popen.poll() is None


def test_a_failed_job_is_tried_again(browser: Browser, worker: Process) -> None:
    """Its story tells both attempts."""
    job_id = browser.server.spool.submit("div", ["1", "0"])
    with browser.page(f"/#{job_id}") as page:
        page.wait_for_selector("#fields dd.state-failed")
        assert page.locator("#attempts li").count() == 1
        page.click("text=Retry")
        page.wait_for_selector("#attempts li:nth-child(2)")
        assert "division by zero" in page.inner_text("#fields")
    assert len(browser.server.spool.find(job_id).attempts) == 2
    assert worker.popen.poll() is None


def test_a_running_job_is_cancelled(browser: Browser, worker: Process) -> None:
    """What it wrote until then is shown."""
    with browser.page() as page:
        page.wait_for_selector("#operation option", state="attached")
        page.select_option("#operation", "exec")
        page.fill("#operands", 'sh -c "echo begun; sleep 30"')
        page.click("text=Options")
        page.fill("#cwd", "/")
        page.click("#submit button")
        page.wait_for_selector("#running li:has-text('echo begun')")
        page.click("text=Cancel")
        page.wait_for_selector("#fields dd:has-text('cancelled')")
        page.wait_for_selector("#outputs pre:has-text('begun')")
        page.wait_for_selector("#running li:has-text('Nothing.')")
        job_id = page.inner_text("#fields dd >> nth=0")
    assert browser.server.jobs.state(job_id) is State.FAILED
    assert worker.popen.poll() is None


def test_an_old_job_is_seen_to_end(browser: Browser) -> None:
    """It is not among the newest that are pushed, and as many are pending after it as before."""
    jobs = browser.server.jobs
    job_id = jobs.pending()
    for _ in range(21):
        jobs.failed()
        jobs.pending()
    with browser.page(f"/#{job_id}") as page:
        page.wait_for_selector("#live:has-text('live')")
        page.wait_for_selector("#fields dd.state-pending")
        jobs.pending()
        page.wait_for_selector("#counts li[data-key=pending]:has-text('23')")
        # What happens now is in one snapshot, half a second after that one.
        browser.server.spool.cancel(job_id)
        jobs.pending()
        page.wait_for_selector("#fields dd.state-failed")


def test_a_message_ends_with_its_cause(browser: Browser) -> None:
    """When the spool is back, nothing says any more that it is gone."""
    spool = browser.server.spool.path
    with browser.page() as page:
        page.wait_for_selector("#live:has-text('live')")
        os.rename(spool, f"{spool}.away")
        try:
            page.wait_for_selector("#message.bad:has-text('there is no spool')")
        finally:
            os.rename(f"{spool}.away", spool)
        page.wait_for_selector("#message", state="hidden")


def test_what_was_asked_in_vain_ends_with_its_cause_too(browser: Browser) -> None:
    """A submit that is refused because the spool is gone: that says no more when it is back."""
    spool = browser.server.spool.path
    with browser.page() as page:
        page.wait_for_selector("#live:has-text('live')")
        page.wait_for_selector("#operation option", state="attached")
        os.rename(spool, f"{spool}.away")
        try:
            page.wait_for_selector("#message.bad:has-text('there is no spool')")
            page.fill("#operands", "1 2")
            with page.expect_response("**/api/v1/jobs"):
                page.keyboard.press("Enter")
            page.wait_for_selector("#message.bad:has-text('cannot write')")
        finally:
            os.rename(f"{spool}.away", spool)
        page.wait_for_selector("#message", state="hidden")
    browser.troubles = [trouble for trouble in browser.troubles if "status of 503" not in trouble]


def test_a_token_is_asked_for_until_it_is_right(
    browser: Browser, serve: Callable[..., Server], tmp_path: Path
) -> None:
    """What can be no token is told at once, a wrong one is asked for again; then all is well."""
    token = "0123456789abcdef"
    (tmp_path / "token").write_text(token)
    (tmp_path / "token").chmod(0o600)
    browser.server = serve("--token-file", str(tmp_path / "token"))
    with browser.page() as page:
        for wrong, said in (("€uro", "ASCII"), ("wrong", "this is not it")):
            page.fill("#token", wrong)
            page.keyboard.press("Enter")
            page.wait_for_selector(f"#message.bad:has-text('{said}')")
            page.wait_for_selector("#token-form")
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.wait_for_selector("#live:has-text('live')")
        page.wait_for_selector("#message", state="hidden")
        page.wait_for_selector("#token-form", state="hidden")
    browser.troubles = [trouble for trouble in browser.troubles if "status of 401" not in trouble]
    browser.asked.clear()  # it was another server


def test_what_comes_of_a_submit_is_seen_on_a_phone(browser: Browser) -> None:
    """The message, good or bad, and the job's story, without scrolling."""
    seen = (
        "id => { const it = document.getElementById(id).getBoundingClientRect();"
        " return it.top >= 0 && it.bottom <= innerHeight && it.height > 0; }"
    )
    with browser.page(viewport={"width": 360, "height": 740}) as page:
        page.wait_for_selector("#operation option", state="attached")
        page.fill("#operands", "1 x")
        page.click("#submit button")
        page.wait_for_selector("#message.bad:has-text('operand 2 of add is not a number')")
        assert page.evaluate(seen, "message")
        page.fill("#operands", "1 2")
        page.click("#submit button")
        page.wait_for_selector("#message.good:has-text('Submitted')")
        assert page.evaluate(seen, "message")
        assert page.evaluate(seen, "story-title")
        assert page.evaluate("document.activeElement.id") == "story-title"
    browser.troubles = [trouble for trouble in browser.troubles if "status of 400" not in trouble]


def test_the_field_to_be_corrected_is_seen_on_a_phone(browser: Browser) -> None:
    """However far down the page it is, the message about it does not lie over it."""
    above = "id => document.getElementById(id).getBoundingClientRect().top"
    with browser.page(viewport={"width": 360, "height": 740}) as page:
        page.wait_for_selector("#operation option", state="attached")
        page.click("summary")
        for field, text in (("operands", "1 x"), ("after", "nothing " * 20)):
            page.fill("#operands", "1 2")
            page.fill(f"#{field}", text)
            page.evaluate(f"scrollBy(0, ({above})('{field}'))")
            assert page.evaluate(above, field) < 60  # where the message will be
            page.focus(f"#{field}")
            page.keyboard.press("Enter")
            page.wait_for_selector("#message.bad")
            page.wait_for_function(
                "id => document.getElementById(id).getBoundingClientRect().top"
                " >= document.getElementById('message').getBoundingClientRect().bottom",
                arg=field,
            )
            assert page.evaluate(above, field) < 500
            page.evaluate("say('', '')")
    browser.troubles = [trouble for trouble in browser.troubles if "status of 40" not in trouble]


def test_the_end_of_a_long_output_is_shown(browser: Browser) -> None:
    """And no more of it is asked for."""
    job_id = browser.server.jobs.command(b"begin" + b"x" * 1_000_000 + "€nd".encode())
    with browser.page(f"/#{job_id}") as page:
        page.wait_for_selector("#outputs pre:has-text('€nd')")
        text = page.inner_text("#outputs pre")
    assert text.startswith("…x")
    assert len(text) <= 20_001
    assert [url.partition("?")[2] for url in browser.asked if "/output/stdout" in url] == [
        "tail=20001"
    ]


def test_an_output_that_is_no_text_is_shown_whole(browser: Browser) -> None:
    """What cannot be decoded is more bytes as characters than it was, and is not cut for that."""
    job_id = browser.server.jobs.command(b"begin" + b"\xff" * 9000 + b"end")
    with browser.page(f"/#{job_id}") as page:
        page.wait_for_selector("#outputs pre:has-text('end')")
        assert page.inner_text("#outputs pre") == "begin" + "\ufffd" * 9000 + "end"


def test_a_character_of_which_the_first_byte_is_cut_off_is_not_shown(browser: Browser) -> None:
    """What follows is, whatever it is."""
    job_id = browser.server.jobs.command("€".encode() + b"\xff" + b"x" * 19_997)
    with browser.page(f"/#{job_id}") as page:
        page.wait_for_selector("#outputs pre:has-text('xxx')")
        assert page.inner_text("#outputs pre") == "…\ufffd" + "x" * 19_997


def test_going_back_and_further(browser: Browser) -> None:
    """Back from a job is the page without it; the last page of a list leaves the focus in it."""
    for _ in range(21):
        browser.server.jobs.pending()
    with browser.page() as page:
        page.click("#jobs a >> nth=0")
        page.wait_for_selector("#story-title:has-text('add')")
        page.go_back()
        page.wait_for_selector("#story", state="hidden")
        page.focus("#more")
        page.keyboard.press("Enter")
        page.wait_for_selector("#more", state="hidden")
        assert page.evaluate("document.activeElement.closest('tr').rowIndex") == 21
        page.set_viewport_size(DESK)
        words = ["1", "12345678901234567890" * 4]
        browser.server.spool.submit("mul", words, priority=0, label="nightly")
        page.wait_for_selector("#jobs td:has-text('nightly')")
        lines = (
            "cell => { const range = document.createRange(); range.selectNodeContents(cell);"
            " return range.getClientRects().length; }"
        )
        assert page.locator("#jobs td:has-text('nightly')").evaluate(lines) == 1


def test_what_is_wrong_is_told(browser: Browser) -> None:
    """In the command's words; a text from a job is text, whatever it looks like."""
    hostile = "<img src=x onerror=alert(1)>"
    job_id = browser.server.spool.submit("exec", ["echo", hostile], label=hostile)
    with browser.page() as page:
        page.wait_for_selector("#operation option", state="attached")
        page.fill("#operands", "1 x")
        page.click("#submit button")
        page.wait_for_selector("#message.bad:has-text('operand 2 of add is not a number')")
        page.fill("#word", "nothing")
        page.click("#search button")
        page.wait_for_selector("#message.bad:has-text('not a job id')")
        page.fill("#word", job_id)
        page.keyboard.press("Enter")
        page.wait_for_selector("#fields dd:has-text('onerror')")
        assert page.locator("main img").count() == 0
    # The two refusals above, which the browser notes, are what was asked for.
    browser.troubles = [trouble for trouble in browser.troubles if "status of 400" not in trouble]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_it_can_be_used_by_everybody(
    size: dict[str, int], scheme: str, browser: Browser, worker: Process, request: Any
) -> None:
    """Axe finds nothing, and nothing is wider than the screen: phone and desk, light and dark."""
    from axe_core_python.sync_playwright import Axe

    spool = browser.server.spool
    ids = [spool.submit("mul", [str(n), "12345678901234567890" * n]) for n in range(1, 4)]
    spool.submit("div", ["1", "0"], label="nightly")
    for path in (f"/#{ids[2]}", "/docs"):
        with browser.page(path, viewport=size, color_scheme=scheme) as page:
            if path != "/docs":
                page.wait_for_selector("#fields dd.state-completed")
                page.click("#counts button:has-text('completed')")
                page.wait_for_selector("#jobs tr")
            found = Axe().run(page)["violations"]
            assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found] == []
            assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
            pictures = os.environ.get("SPOOL_PICTURES")
            if pictures:
                name = f"{request.node.callspec.id}{'-docs' if path == '/docs' else ''}"
                page.screenshot(path=f"{pictures}/{name}.png", full_page=path != "/docs")
    assert worker.popen.poll() is None
