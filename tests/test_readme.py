"""The README's Python example runs as it stands."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pandas as pd
import pytest

import simulator

ROOT = Path(__file__).parents[1]


def test_python_example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    example = next(block for block in blocks if "simulator.replay" in block)
    exec(compile(example, "README.md", "exec"), {})
    assert float(capsys.readouterr().out) > 0


def test_policy_example_loses_no_exactness(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "mine.py").write_text(next(block for block in blocks if block.startswith("# mine.py")))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    runs = [
        simulator.replay(
            ROOT / "traces" / "azure-like-conversation.csv.gz",
            model="meta-llama/Llama-3.1-8B",
            device="nvidia-l4-24gb",
            policy="mine:ShortestPromptFirst",
            limit=400,
            settings={"fast_forward": fast},
        )
        for fast in (True, False)
    ]
    pd.testing.assert_frame_equal(runs[0].requests, runs[1].requests, check_exact=True)
    assert (runs[0].requests["arrival_s"].diff().dropna() >= 0).all()
    order = runs[0].requests["scheduled_s"].rank()
    assert not order.is_monotonic_increasing
