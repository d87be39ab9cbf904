"""The check of links and spelling finds what is planted, and nothing in the tree."""

from __future__ import annotations

from pathlib import Path

import pytest

import prose

pytest.importorskip("spellchecker", reason="the extra docs is not installed")


def test_the_tree_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert prose.main() == 0, capsys.readouterr().out


PAGE = """# A page

## What it is for

[here](#what-it-is-for) [there](other.md#two-words) ![picture](images/no.png) [lost](#nowhere) [gone](missing.md)
`[code](not-a-link.md)` [away](https://example.org/page)

```sh
[a](b.md) teh
```
"""


def test_links(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Other\n\n## Two words\n\n## Two words\n")
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    found = list(prose.broken_links(page, PAGE))
    assert [line for line, _ in found] == [5, 5, 5]
    assert [reason.split(",")[0] for _, reason in found] == [
        "link to images/no.png",
        "link to #nowhere",
        "link to missing.md",
    ]
    assert {"two-words", "two-words-1"} <= prose.anchors((tmp_path / "other.md").read_text())


def test_spelling() -> None:
    text = "The bandwith of `bandwith` is\nwhat ist's for; see docs/bandwith.md and vLLM's `--teh`.\n"
    assert list(prose.misspelt(text, ["vLLM"])) == [(1, "bandwith"), (2, "ist's")]
    assert [word for _, word in prose.misspelt(text, ["bandwith"])] == ["ist's", "vLLM's"]
