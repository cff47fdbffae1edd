"""A headless Chromium that opens a page from disk and remembers all that went wrong and all that was asked of a network."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""The system's browser; where it does not start, playwright's own is tried."""


@dataclass
class Opened:
    """A page in the browser.

    Attributes:
        page: playwright's.
        problems: errors and warnings of the console, exceptions, dialogs.
        requests: addresses other than that of the file itself.
    """

    page: Any
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        """Text of an element."""
        return str(self.page.inner_text(selector))

    def rows(self) -> list[int]:
        """Numbers of the designs in the table, from the top."""
        found = self.page.eval_on_selector_all("#rows tr", "lines => lines.map((line) => Number(line.dataset.number))")
        return [int(number) for number in found]

    def points(self) -> set[int]:
        """Numbers of the designs in the plot."""
        found = self.page.evaluate(
            "document.getElementById('plot-front').data.flatMap((trace) => trace.customdata ?? [])"
        )
        return {int(number) for number in found}

    def wait(self, expression: str, seconds: float = 180.0) -> None:
        """Until an expression holds. Playwright's own wait evaluates text in the page, which the page's policy forbids."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, f"after {seconds:g} s: {expression}"
            self.page.wait_for_timeout(30)

    def place(self, number: int) -> tuple[float, float]:
        """Where a design is drawn in the plot, in pixels of the window."""
        self.page.locator("#plot-front").scroll_into_view_if_needed()
        x, y = self.page.evaluate(_PLACE, number)
        return x, y


_PATIENCE = 180_000
"""ms: a page is drawn in two seconds, but others may want the same two cores."""
_PLACE = """(number) => {
  const plot = document.getElementById("plot-front"), { xaxis, yaxis } = plot._fullLayout, box = plot.getBoundingClientRect();
  for (const trace of plot.data) {
    const k = (trace.customdata ?? []).indexOf(number);
    if (k >= 0) return [box.left + xaxis._offset + xaxis.d2p(trace.x[k]), box.top + yaxis._offset + yaxis.d2p(trace.y[k])];
  }
}"""


class Browser:
    """Opens pages; skips the test where there is no browser."""

    def __init__(self, chromium: Any) -> None:
        self._chromium = chromium

    def open(self, path: Path, width: int = 1300, height: int = 1000, fragment: str = "") -> Opened:
        """The page, drawn."""
        page = self._chromium.new_page(viewport={"width": width, "height": height})
        opened = Opened(page)
        address = path.as_uri()
        page.on(
            "console", lambda message: message.type in ("error", "warning") and opened.problems.append(message.text)
        )
        page.on("pageerror", lambda error: opened.problems.append(str(error)))
        page.on("dialog", lambda dialog: (opened.problems.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: request.url.split("#")[0] != address and opened.requests.append(request.url))
        page.set_default_timeout(_PATIENCE)
        page.goto(address + fragment, wait_until="commit")
        page.wait_for_selector("html[data-ready]")
        return opened


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """The browser, closed at the end."""
    from playwright import sync_api as playwright

    with playwright.sync_playwright() as running:
        chromium = None
        for path in (CHROMIUM, None) if CHROMIUM else (None,):
            with contextlib.suppress(playwright.Error):
                # Root, as in containers, has no sandbox.
                chromium = running.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
                break
        if chromium is None:
            pytest.skip("no Chromium can be started here: tools/setup-browser.sh installs one")
        try:
            yield Browser(chromium)
        finally:
            chromium.close()
