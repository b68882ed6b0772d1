"""A browser for the tests of the page, which tells what went wrong in it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from kerasd2l.serving.server.front import KINDS, PAGE, POLICY

SWITCHES = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
LOOKS = {
    "desktop": {"viewport": {"width": 1200, "height": 900}},
    "dark": {"viewport": {"width": 1200, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True},
}
SCROLLS = "document.documentElement.scrollWidth > innerWidth"


@contextlib.contextmanager
def started():
    """Start the browser that is installed, or skip the test with the reason."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next((path for path in map(shutil.which, PROGRAMS) if path), None)
    if program is None:
        pytest.skip(f"none of these is installed: {', '.join(PROGRAMS)}")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=SWITCHES)
        yield browser
        browser.close()


@contextlib.contextmanager
def serving(folder):
    """Start `kerasd2l serve` on a folder; give its address."""
    pytest.importorskip("uvicorn", reason="needs the extra kerasd2l[serve]")
    words = ["serve", str(folder), "--port", "0", "--grpc-port", "0", "--json"]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-m", "kerasd2l.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line, process.communicate(timeout=30)[1]
        yield json.loads(line)["http"]
    finally:
        process.terminate()
        process.communicate(timeout=60)


class Watched:
    """A page; what it asks for elsewhere, its errors and breaches of its policy are kept.

    Args:
        browser: a browser.
        address: of the server.
        look: a key of LOOKS.
    """

    def __init__(self, browser, address, look="desktop"):
        self.address, self.elsewhere, self.errors = address, [], []
        self.context = browser.new_context(**LOOKS[look])
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("request", self._asked)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _asked(self, request):
        if not request.url.startswith((f"{self.address}/", "data:", "blob:")):
            self.elsewhere.append(request.url)

    def _said(self, message):  # a breach of the policy is an error, too
        if message.type == "error":
            self.errors.append(message.text)

    def open(self, place=""):
        """Show the page at #place and wait until the model is there."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}/#{place}")
        self.page.wait_for_selector("main h2")
        return self.page

    def fake(self, models, answer=None, status=200):
        """Serve the page without a server: these models, and this answer to every question."""

        def reply(route):
            path = urlsplit(route.request.url).path
            file = PAGE / (path.removeprefix("/static/") if path != "/" else "index.html")
            if path == "/page/models":
                route.fulfill(json={"models": models, "problems": ["dented/1 is not whole"]})
            elif path.endswith(":predict"):
                given = route.request.post_data_json
                content = answer(given) if callable(answer) else answer
                text = json.dumps(content)  # NaN as the server writes it
                route.fulfill(status=status, body=text, content_type="application/json")
            else:
                policy = {"content-security-policy": POLICY}
                route.fulfill(
                    body=file.read_bytes(), content_type=KINDS[file.suffix], headers=policy
                )

        self.page.route("**/*", reply)

    def close(self, said=()):
        """Close the page, which must have had no error but those that contain these words."""
        errors = [text for text in self.errors if not any(word in text for word in said)]
        self.context.close()
        assert (errors, self.elsewhere) == ([], [])


def until(page, condition, seconds=15):
    """Wait for a condition, while the page goes on."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        page.wait_for_timeout(50)
    assert value


def drag(page, points, selector=".pad"):
    """Draw a line with the mouse; points are parts of the canvas."""
    first, *rest = _places(page, points, selector)
    page.mouse.move(*first)
    page.mouse.down()
    for place in rest:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def swipe(page, points, selector=".pad"):
    """Draw a line with a finger."""
    touch = page.context.new_cdp_session(page)
    kinds = ["touchStart", *["touchMove"] * (len(points) - 1)]
    for kind, (x, y) in zip(kinds, _places(page, points, selector), strict=True):
        places = [{"x": x, "y": y}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def _places(page, points, selector):
    canvas = page.locator(selector)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
