"""What every page must be."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img"}


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


def check(page: str) -> None:
    """A whole page, nested well, that loads nothing and runs nothing."""
    parser = Nesting()
    parser.feed(page)
    parser.close()
    assert not parser.open
    assert "script" not in parser.seen
    assert not re.search(r"(src|href)=.https?:|@import|url\((?!#)", page)
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
    assert not re.search(r">(nan|inf|None)<", page)
