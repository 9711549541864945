"""A page in a browser: what went wrong on it, and a few ways to ask it things."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest


def absent(reason: str) -> NoReturn:
    """Skip at home; fail where CI is set, as a build machine is to look at every page."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


class Opened:
    """A page with what went wrong on it, and a few ways to ask it things."""

    def __init__(self, browser_page) -> None:
        self.page = browser_page
        self.troubles: list[str] = []
        self.asked: list[str] = []
        browser_page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        browser_page.on("dialog", lambda dialog: (self.troubles.append("dialog"), dialog.dismiss()))
        browser_page.on("request", lambda request: self.asked.append(request.url))
        browser_page.on("console", self._heard)

    def _heard(self, message) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(message.text)

    def text(self, selector: str) -> str:
        return self.page.locator(selector).first.inner_text()

    def state(self) -> dict[str, str]:
        shown = self.page.evaluate("location.hash.slice(1)")
        return dict(part.split("=") for part in shown.split("&"))

    def wait(self, expression: str) -> None:
        """Until an expression holds; the page's policy forbids what Playwright does for this."""
        for _ in range(100):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"never came true: {expression}")

    def saved(self, button) -> bytes:
        with self.page.expect_download() as waiting:
            button.click()
        return Path(waiting.value.path()).read_bytes()


@contextmanager
def opened(
    browser, file: Path, fragment: str = "", width: int = 1280, height: int = 900, **options
) -> Iterator[Opened]:
    """A page from a disk, without a network; nothing may have gone wrong when it is closed."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, offline=True, **options
    )
    found = Opened(context.new_page())
    found.page.goto(file.as_uri() + fragment)
    try:
        yield found
    finally:
        context.close()
        assert found.troubles == []


CONTRAST = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => numbers(colour).slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      const parts = numbers(colour);
      if (parts.length < 4 && !colour.startsWith("color(")) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [];
  for (const element of document.querySelectorAll(".mh *")) {
    const own = [...element.childNodes]
      .some((node) => node.nodeType === 3 && node.textContent.trim());
    const style = getComputedStyle(element);
    if (!own || style.visibility === "hidden" || !element.getClientRects().length) continue;
    if (element.closest(".unseen, mark, .token")) continue;
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(ink), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const name = `${element.tagName} ${element.textContent.slice(0, 30)}`;
    if (ratio < 4.5) found.push(`${name} ${ratio.toFixed(2)}`);
  }
  return found;
}"""
