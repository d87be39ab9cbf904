"""What every page must be."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

VOID = {"meta", "br", "wbr", "link", "img"}


class Nesting(HTMLParser):
    """Raises where tags do not close in the order in which they opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"{tag} was never opened"
        assert self.open.pop() == tag


def without_scripts(page: str) -> str:
    """What a browser that runs no scripts reads."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def check(page: str) -> None:
    """A whole page, nested well, that loads nothing from elsewhere and shows all without its scripts."""
    parser = Nesting()
    parser.feed(page)
    parser.close()
    assert not parser.open
    assert not re.search(r"<(script|link|img|iframe)[^>]* (src|href)=", page)
    assert not re.search(r"(src|href)=.https?:|@import|url\((?!#)", without_scripts(page))
    for text in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, flags=re.DOTALL):
        json.loads(text)
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
    assert not re.search(r">(nan|inf|None)<", page)
