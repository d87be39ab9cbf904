"""Pages as a person sees them: opened in headless Chromium without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


@contextmanager
def opened(path: Path, **context: Any) -> Iterator[Any]:
    """The page of a file, offline; at the end it must have logged no error and asked for nothing else.

    `context` is what Playwright's `new_context` takes: viewport, color_scheme, java_script_enabled.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_context(offline=True, **context).new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: None if request.url.startswith("file:") else faults.append(request.url))
        page.goto(path.as_uri())
        yield page
        assert not faults, faults
        browser.close()


def check_drawn(page: Any) -> None:
    """Every chart that can be drawn again is, with ink on it, and the page is no wider than the screen."""
    page.wait_for_function("document.documentElement.dataset.ready === 'true'")
    assert page.locator("figure .live canvas").count() == page.locator("script.curves").count()
    blank = page.evaluate(
        """[...document.querySelectorAll('.live canvas')].filter(c =>
            !c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0)).length"""
    )
    assert blank == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
