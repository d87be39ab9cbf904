"""Commands on a real pseudo-terminal, in pipes, and interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulator.cli import main
from tests.cli.terminal import ROOT, on_terminal

SAMPLE = "traces/azure-like-conversation.csv.gz"
SMALL = ["--model", "Qwen/Qwen2.5-0.5B", "--device", "nvidia-l4-24gb"]
SLOW = ["replay", SAMPLE, "--model", "meta-llama/Llama-3.1-70B", "--device", "nvidia-h100-sxm-80gb"]
SLOW += ["--tensor-parallel", "4", "--replicas", "8", "--step-by-step"]
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3|4|9|10)\d(?:;\d+)*m")
LATENCIES = ("ttft", "tpot", "itl", "e2e", "queue_wait")


def environment(**changed: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    return {**kept, "PYTHONPATH": str(ROOT), **changed}


def piped(*arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "simulator", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(**changed), capture_output=True, text=True, check=False)


def test_progress_and_interrupt(tmp_path: Path) -> None:
    shown = on_terminal(
        [*SLOW, "--out", str(tmp_path / "out"), "--json", str(tmp_path / "s.json")], interrupt_at="left"
    )
    line = next(screen for screen in shown.screens if "left" in screen)
    assert re.search(r"simulating: [\d,]+ of 4,000 requests, [\d,.]+/s, \d+:\d\d left", line)
    assert shown.code == 130
    assert shown.last.strip() == "interrupted"
    assert list(tmp_path.iterdir()) == []


def test_a_terminated_command_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "simulator", *SLOW, "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE)
    end = time.monotonic() + 20
    while not (tmp_path / "out").exists() and time.monotonic() < end:
        time.sleep(0.02)
    process.terminate()
    _, told = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert told == b""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("columns", [80, 120])
def test_tables_keep_their_digits(columns: int, tmp_path: Path) -> None:
    arguments = ["replay", SAMPLE, *SMALL, "--limit", "40", "--json", str(tmp_path / "s.json")]
    shown = on_terminal(arguments, columns=columns)
    assert shown.code == 0
    summary = json.loads((tmp_path / "s.json").read_text())
    words = shown.last.split()
    for name in LATENCIES:
        for statistic in ("mean", "p50", "p90", "p95", "p99", "max"):
            assert f"{summary['latency_ms'][name][statistic]:,.2f}" in words
    assert all(len(line) <= columns for line in shown.last.splitlines())


def test_quiet_prints_nothing() -> None:
    shown = on_terminal(["replay", SAMPLE, *SMALL, "--limit", "20", "-q"])
    assert (shown.raw, shown.code) == ("", 0)


@pytest.mark.parametrize(("arguments", "terminal"), [(["--plain"], "xterm-256color"), ([], "dumb")])
def test_plain_text_is_what_a_pipe_gets(arguments: list[str], terminal: str) -> None:
    command = ["list", "links"]
    shown = on_terminal([*command, *arguments], environment={"TERM": terminal})
    assert "\x1b" not in shown.raw
    assert shown.raw.isascii()
    assert shown.raw.replace("\r\n", "\n") == piped(*command).stdout


def test_colours_are_left_out_or_forced() -> None:
    command = ["show", "link", "nvlink4"]
    assert "\x1b" not in piped(*command).stdout
    assert "\x1b[1m" in piped(*command, FORCE_COLOR="1").stdout
    assert "\x1b" not in piped(*command, "--plain", FORCE_COLOR="1").stdout
    replayed = ["replay", SAMPLE, *SMALL, "--limit", "20"]
    assert COLOUR.search(on_terminal(replayed).raw)
    assert not COLOUR.search(on_terminal(replayed, environment={"NO_COLOR": "1"}).raw)


def test_a_reader_that_leaves_is_no_error() -> None:
    for arguments in (["list", "policies"], ["replay", "--help"]):
        reading = [sys.executable, "-m", "simulator", *arguments]
        process = subprocess.Popen(
            reading, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        told = process.stderr.read()
        assert (process.wait(timeout=20), told) == (0, b"")


def test_exit_codes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["list", "links", "-q"]) == 0
    assert main(["lst", "links"]) == 2
    assert "'list'" in capsys.readouterr().err
    assert main(["replay", "--modle", "x"]) == 2
    assert "--model" in capsys.readouterr().err
    assert main([]) == 2

    def defect(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("simulator.report.catalogue.kind_of", defect)
    with pytest.raises(ZeroDivisionError):
        main(["list", "links"])


def test_a_defect_ends_with_its_traceback() -> None:
    code = "import simulator.report.catalogue as c; c.kind_of = None; from simulator.__main__ import run; run()"
    command = [sys.executable, "-c", code, "list", "links"]
    ended = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr


def test_output_options_end_with_their_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "links", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["list", "links"]) == 0
    assert "nvlink" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"simulator {version('simulator')}\n"
