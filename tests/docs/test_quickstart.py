"""The quickstart's commands run as they stand, and print the figures that are shown below them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from simulator.cli import main

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "quickstart.md").read_text()
COMMAND = re.compile(r"```sh\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)


def said(text: str) -> list[str]:
    """Words and figures, without the lines that tables are drawn with."""
    return re.sub(r"[^\w.,%+<=/-]|[-+]{2,}", " ", text).split()


def test_commands_print_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "traces").symlink_to(ROOT / "traces")
    (tmp_path / "plan.yaml").write_text(re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[0])
    compared = 0
    for command, shown in COMMAND.findall(TEXT):
        arguments = shlex.split(command.replace("\\\n", " "))
        assert arguments[0] == "simulator"
        alone = ["--jobs", "1"] if arguments[1] == "plan" else []  # the same plan, without starting processes
        assert main([*arguments[1:], *alone]) == 0
        printed = said(capsys.readouterr().out)
        if shown:
            assert printed == said(shown), command
            compared += 1
    assert compared == 4
    assert (tmp_path / "best" / "summary.json").read_bytes() == (tmp_path / "plan" / "summary.json").read_bytes()
