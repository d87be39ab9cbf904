"""A sweep that is stopped: killed for real, interrupted, or cut off in the middle of a line of its journal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulator.cli import main
from simulator.errors import InputError
from simulator.sweeping import sweep
from simulator.sweeping.journal import FILE, journal

ROOT = Path(__file__).resolve().parents[2]

# Points of about a tenth of a second, so that there is time to stop between them.
SPEC = {
    "scenario": "serving/chunked-prefill-8b",
    "fixed": {"load.limit": 500},
    "vary": {"seed": [0, 1, 2], "max_num_seqs": [16, 32, 64, 128], "replicas": [2, 0]},
}
VALID = 12


def start(folder: Path) -> subprocess.Popen[str]:
    """The command in a process group of its own."""
    (folder / "spec.yaml").write_text(json.dumps(SPEC))
    arguments = ["sweep", str(folder / "spec.yaml"), "--out", str(folder / "out"), "--workers", "2", "-q"]
    return subprocess.Popen(
        [sys.executable, "-m", "simulator", *arguments],
        cwd=ROOT,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_points(folder: Path, count: int, running: subprocess.Popen[str]) -> None:
    """Until so many points are in the journal."""
    until = time.monotonic() + 60
    path = folder / "out" / FILE
    while not path.exists() or path.read_bytes().count(b"\n") < 1 + count:
        assert running.poll() is None and time.monotonic() < until, "the sweep ended before it could be stopped"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a sweep that one process did from its beginning to its end."""
    folder = tmp_path_factory.mktemp("whole")
    sweep(SPEC, workers=1, out=folder)
    return (folder / "results.parquet").read_bytes()


def test_a_killed_sweep_goes_on_without_computing_a_point_again(tmp_path: Path, uninterrupted: bytes) -> None:
    running = start(tmp_path)
    wait_for_points(tmp_path, 3, running)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert _ends(running.pid), "the workers of a command that was killed go on"
    running.communicate()
    before = (tmp_path / "out" / FILE).read_bytes()
    finished = before.count(b"\n") - 1
    assert 3 <= finished < VALID
    assert not (tmp_path / "out" / "results.parquet").exists()
    again = start(tmp_path)
    assert again.wait(120) == 0
    after = (tmp_path / "out" / FILE).read_bytes()
    assert after.startswith(before[: before.rfind(b"\n") + 1])
    keys = [json.loads(line)["key"] for line in after.splitlines()[1:]]
    assert len(keys) == len(set(keys)) == VALID
    assert (tmp_path / "out" / "results.parquet").read_bytes() == uninterrupted


def _ends(group: int) -> bool:
    """Whether all processes of a group come to their end; they are ended otherwise."""
    until = time.monotonic() + 30
    try:
        while time.monotonic() < until:
            os.killpg(group, 0)
            time.sleep(0.05)
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return True
    return False


def test_an_interrupted_sweep_says_what_is_kept(tmp_path: Path, uninterrupted: bytes) -> None:
    running = start(tmp_path)
    wait_for_points(tmp_path, 3, running)
    os.killpg(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in said
    assert "points are kept" in said and said.endswith("interrupted\n")
    lines = (tmp_path / "out" / FILE).read_text().splitlines()
    kept = len([json.loads(line) for line in lines]) - 1
    assert 3 <= kept < VALID
    found = sweep(tmp_path / "spec.yaml", workers=1, out=tmp_path / "out")
    assert (found.found, found.simulated) == (kept, VALID - kept)
    assert (tmp_path / "out" / "results.parquet").read_bytes() == uninterrupted


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks up in /proc what a process does not see")
def test_workers_see_no_interrupt_from_their_first_moment_on(tmp_path: Path) -> None:
    running = start(tmp_path)
    until = time.monotonic() + 60
    while len(workers := _workers(running.pid)) < 2:
        assert running.poll() is None and time.monotonic() < until, "the sweep ended before its workers were seen"
        time.sleep(0.002)
    os.killpg(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert all(blocked >> (signal.SIGINT - 1) & 1 for blocked in workers.values())
    assert running.returncode == 130
    assert "Traceback" not in said and said.endswith("interrupted\n")


def _workers(parent: int) -> dict[int, int]:
    """The workers of a process, each with the mask of signals that do not reach it."""
    found = {}
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        process = Path("/proc") / child
        if b"popen_loky" in (process / "cmdline").read_bytes():
            fields = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
            found[int(child)] = int(fields["SigBlk"], 16)
    return found


def test_one_sweep_at_a_time_writes_to_a_folder(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\n"
        "from simulator.sweeping.journal import journal\n"
        "with journal(pathlib.Path(sys.argv[1]), 's'):\n"
        "    print('open', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "open\n"
        before = (tmp_path / FILE).read_bytes()
        with pytest.raises(InputError, match="another sweep is writing to"), journal(tmp_path, "s"):
            pass
        assert (tmp_path / FILE).read_bytes() == before
        other.kill()
    with journal(tmp_path, "s") as kept:
        assert not kept.outcomes


@pytest.mark.parametrize("cut", [1, 17, -1])
def test_a_line_that_was_cut_short_is_dropped(tmp_path: Path, cut: int) -> None:
    lines = [json.dumps({"key": key, "summary": {"x": 0.1}}) for key in "abc"]
    with journal(tmp_path, "s") as kept:
        for line in lines:
            kept.add(line)
    path = tmp_path / FILE
    whole = path.read_bytes()
    end = len(whole) - len(lines[2]) - 1
    path.write_bytes(whole[: end + cut if cut > 0 else cut])
    with journal(tmp_path, "s") as kept:
        assert list(kept.outcomes) == ["a", "b"]
        kept.add(lines[2])
    assert path.read_bytes() == whole


def test_a_journal_of_another_sweep_is_refused_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with journal(tmp_path, "another") as kept:
        kept.add('{"key": "a", "reason": "no"}')
    before = (tmp_path / FILE).read_bytes()
    (tmp_path / "spec.yaml").write_text(json.dumps(SPEC))
    assert main(["sweep", str(tmp_path / "spec.yaml"), "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "holds another sweep" in said and f"delete {FILE}" in said and said.count("\n") == 1
    assert (tmp_path / FILE).read_bytes() == before


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    with journal(tmp_path, "s") as kept:
        kept.add('{"key": "a", "reason": "no"}')
    path = tmp_path / FILE
    path.write_text(path.read_text() + "{oops}\n")
    with pytest.raises(InputError, match=rf"{FILE}:3: not a line of a sweep's journal"), journal(tmp_path, "s"):
        pass
    path.write_text("something else\n")
    with pytest.raises(InputError, match=rf"{FILE}:1: not the journal of a sweep"), journal(tmp_path, "s"):
        pass
