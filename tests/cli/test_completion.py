"""What shells complete: through the protocol, and in the shells that are there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.cli.completion import FIELDS
from simulator.kinds import GRAPHS, TRAINING
from simulator.report import catalogue
from simulator.report.catalogue_names import kind_names, names_of
from simulator.scenario import Scenario
from simulator.specs.settings import field_paths

ROOT = Path(__file__).parents[2]
SHELLS = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `simulator` is the one under test."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "simulator"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m simulator.__main__ "$@"\n')
    code = "import sys; sys.argv[0] = 'simulator'; from simulator.__main__ import run; run()"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -c "{code}" "$@"\n')
    script.chmod(0o755)
    return folder


def completed(binary: Path, line: str) -> list[str]:
    """What bash offers at the end of a line, by the script that `--show-completion` prints."""
    test = (
        'eval "$(_SIMULATOR_COMPLETE=source_bash simulator)"; COMP_WORDS=($LINE_GIVEN); [[ $LINE_GIVEN == *" " ]] && '
        'COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _simulator_completion simulator; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    environment = {**os.environ, "PATH": f"{binary}:{os.environ['PATH']}", "LINE_GIVEN": line}
    ended = subprocess.run(
        ["bash", "--norc", "-c", test], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return ended.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("simulator rep", {"replay"}),
        ("simulator replay tra", {"traces/azure-like-conversation.csv.gz"}),
        ("simulator replay t --device nvidia-h100-s", {"nvidia-h100-sxm-80gb"}),
        ("simulator replay t --model meta-llama/Llama-3.1-8", {"meta-llama/Llama-3.1-8B"}),
        ("simulator replay t --policy vllm", {"vllm-v1", "vllm-v0"}),
        ("simulator replay t --set max_num_s", {"max_num_seqs="}),
        ("simulator run simulator/scenarios/training/gpt-1t.yaml --set batch.mi", {"batch.micro="}),
        ("simulator run simulator/scenarios/training/gpt-1", {"simulator/scenarios/training/gpt-1t.yaml"}),
        ("simulator show device nvidia-h200", {"nvidia-h200-sxm-141gb"}),
        ("simulator validate scenarios serving/distser", {"serving/distserve"}),
        ("simulator show nothing ", set()),
    ],
)
def test_bash(binary: Path, line: str, offered: set[str]) -> None:
    found = set(completed(binary, line))
    assert offered <= found if offered else not found
    last = line.rpartition(" ")[2]
    assert all(word.lower().startswith(last.lower()) for word in found)


@pytest.mark.parametrize("shell", SHELLS)
def test_shells_read_the_script(binary: Path, shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    environment = {**os.environ, "_SIMULATOR_COMPLETE": f"source_{shell}"}
    script = subprocess.run([binary / "simulator"], env=environment, capture_output=True, text=True, check=True).stdout
    assert "simulator" in script
    (tmp_path / "script").write_text(script)
    subprocess.run([*SHELLS[shell], tmp_path / "script"], check=True)


def test_every_kind_of_scenario_has_its_fields() -> None:
    from importlib import import_module

    kinds = {**TRAINING, **GRAPHS}
    assert set(FIELDS) == {*kinds, "cascade"}
    for name, kind in kinds.items():
        module, spec = FIELDS[name].split(":")
        assert getattr(import_module(module), spec) is kind.fields
    assert "batching.max_num_seqs" in field_paths(Scenario)


def test_names_are_those_that_are_listed() -> None:
    assert set(kind_names()) == set(catalogue._ROWS)
    for kind in ("policies", "workloads", "scenarios", "plans", "sweeps", "links", "nodes", "dtypes"):
        column = {"policies": "policy", "dtypes": "format"}.get(kind, kind.removesuffix("s"))
        assert names_of(kind) == [row[column] for row in catalogue.rows(kind)]
