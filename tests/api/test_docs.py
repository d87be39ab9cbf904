"""The examples of docs/python.md run as they stand, one after the other."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import simulator
from simulator.api.outcome import Outcome

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "python.md"


def test_examples(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "traces").symlink_to(ROOT / "traces")
    monkeypatch.chdir(tmp_path)
    page = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", page)
    names: dict[str, Any] = page.__dict__
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) > 8
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert capsys.readouterr().out.startswith("unknown setting 'max_seqs'")
    assert {"report.html", "comparison.html"} <= {p.name for p in tmp_path.iterdir()}
    assert f"{len(names['step'].passes):,} rows" in PAGE.read_text()
    assert names["best"].summary["latency_ms.ttft.p99"] == names["plan"].summary["best.latency_p99_ms.ttft"]


def test_members_that_the_page_names_are_there() -> None:
    members = re.findall(r"^\| `(\w+)(?:\([^|]*)?`", PAGE.read_text().split("## Scenarios")[0], re.MULTILINE)
    functions = {name for name in members if hasattr(simulator, name)}
    assert functions >= {"replay", "run", "train", "compare", "plan", "explain", "validate", "devices"}
    fields = {*Outcome.__dataclass_fields__, *vars(Outcome)}
    assert set(members) - functions <= fields
