"""Every command's help: its example, its options, its width."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from simulator.cli import app, main
from simulator.cli.every_command import commands, complete, example_lines

ROOT = Path(__file__).parents[2]
COMMANDS = {" ".join(words): command for words, command in commands(complete(app))}
# Options that make an example quick, and examples whose measurements or minutes a test does not have.
SMALLER = {"compare": ["--set", "load.limit=100"], "replay": ["--limit", "30"], "run": ["--set", "load.limit=30"]}
ONLY_PARSED = {
    "calibrate",
    "observe",
    "plan",
    "validate graphs",
    "validate kernels",
    "validate steady-state",
    "validate serving",
    "validate engine",
    "validate training",
    "validate models",
    "validate scenarios",
    "validate all",
}


def words_of(name: str) -> list[str]:
    return shlex.split(example_lines(COMMANDS[name]).replace("\\\n", " "))


@pytest.mark.parametrize("name", COMMANDS)
def test_example_parses_and_is_of_this_command(name: str) -> None:
    first, *words = words_of(name)
    assert first == "simulator"
    assert " ".join(words[: len(name.split())]) == name
    COMMANDS[name].make_context(name, words[len(name.split()) :])


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - ONLY_PARSED))
def test_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("simulator", "traces", "benchmarks"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    _, *words = words_of(name)
    assert main([*words, *SMALLER.get(name, [])]) == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_the_same_output_options(name: str) -> None:
    known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert {"--json", "--quiet", "--plain"} <= known


@pytest.mark.parametrize("name", ["", "trace", "validate", *COMMANDS])
def test_help_fits_and_ends_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*name.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    end = shown.rpartition("Example:")[2].replace("\\\n", " ").split()
    assert end[: 1 + len(name.split())] == ["simulator", *name.split()]


def test_exit_codes_are_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    shown = capsys.readouterr().out
    assert all(code in shown for code in ("0 done", "2 input", "130 interrupted", "1 a defect"))
