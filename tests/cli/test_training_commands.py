"""Training as users meet it: run, compare and the timeline."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import simulator
from simulator.cli import main

SMALL = """
kind: training
model: {layers: 8, hidden: 1024, heads: 16}
device: nvidia-a100-sxm-80gb
batch: {sequence: 512, micro: 1, global_size: 16}
layout: {pipeline: 4, data: 2}
"""


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "one.yaml").write_text(SMALL)
    (tmp_path / "two.yaml").write_text(SMALL + "recompute: full\n")
    return [str(tmp_path / name) for name in ("one.yaml", "two.yaml")]


def test_run_and_train_give_the_same(files: list[str], tmp_path: Path) -> None:
    for command in ("run", "train"):
        assert main([command, files[0], "-q", "--set", "data=1", "--json", str(tmp_path / f"{command}.json")]) == 0
    assert (tmp_path / "run.json").read_bytes() == (tmp_path / "train.json").read_bytes()
    assert json.loads((tmp_path / "run.json").read_text())["layout"]["data"] == 1


def test_compare_puts_steps_side_by_side(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *files, "--out", str(tmp_path / "out")]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    own = [s["summary"]["step_s"] for s in summary["scenarios"]]
    assert summary["figures"]["step_s"]["ratios"] == [1.0, own[1] / own[0]]
    assert summary["scenarios"][1]["changes"] == {"recompute": ["none", "full"]}
    shown = capsys.readouterr().out
    assert f"(+{own[1] / own[0] - 1:.1%})" in shown
    assert "| recompute | none | full |" in shown


def test_the_timeline_holds_every_pass_and_ends_with_the_step(files: list[str], tmp_path: Path) -> None:
    assert main(["train", files[0], "-q", "--timeline", "--out", str(tmp_path)]) == 0
    events = json.loads((tmp_path / "timeline.json").read_text())["traceEvents"]
    slices = [e for e in events if e["ph"] == "X"]
    assert sum(e["tid"] == 0 for e in slices) == 4 * 8 * 2
    assert sum(e["tid"] == 1 for e in slices) == 3 * 8 * 2
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert max(e["ts"] + e["dur"] for e in slices) == pytest.approx(summary["step_s"] * 1e6)
    assert {"forward m0 c0", "backward m7 c0", "send forward m0 c0", "gradients", "update"} <= {
        e["name"] for e in slices
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "{one}"], "compare needs two scenarios or more"),
        (["compare", "{one}", "{serving}"], "compare scenarios of one kind"),
        (["compare", "{serving}", "{one}"], "compare scenarios of one kind"),
        (["compare", "{one}", "{two}", "--uncertainty", "3"], "--uncertainty is modelled for serving only"),
        (["run", "{one}", "--uncertainty", "3"], "--uncertainty is not modelled for kind training"),
        (["run", "{one}", "--timeline"], "--timeline writes timeline.json into the folder of --out: add --out DIR"),
        (["train", "{one}", "--timeline"], "--timeline writes timeline.json into the folder of --out: add --out DIR"),
        (["run", "{serving}", "--timeline"], "--timeline writes timeline.json into the folder of --out: add --out DIR"),
        (["train", "{published}"], "unknown kind of training 'published': choose one of federated, rounds, training"),
        (["run", "{one}", "--set", "chunk=2"], "unknown setting 'chunk': did you mean"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "serving.yaml").write_text(
        "model: Qwen/Qwen2.5-0.5B\ndevice: nvidia-l4-24gb\nload: {generator: azure-conversation, limit: 20}\n"
    )
    (tmp_path / "published.yaml").write_text("kind: published\nname: one against another\n")
    names = {
        "published": str(tmp_path / "published.yaml"),
        "one": files[0],
        "two": files[1],
        "serving": str(tmp_path / "serving.yaml"),
    }
    assert main([a.format(**names) for a in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_timeline_of_what_has_none_is_refused_before_anything_runs(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.training.train", lambda scenario: pytest.fail("it ran"))
    for setting, what in (
        ("batch.lengths.law=fixed", "sequences of different lengths"),
        ("offload.policy=zero-infinity", "offloading layer by layer"),
    ):
        assert main(["train", files[0], "--set", setting, "--timeline", "--out", str(tmp_path / "out")]) == 2
        assert f"a timeline beside {what} is not modelled" in capsys.readouterr().err


def test_a_run_that_fails_leaves_no_folder(files: list[str], tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    assert main(["train", files[0], "--set", "layout.tensor=3", "--out", str(out)]) == 2
    assert not (tmp_path / "deep").exists()
    (tmp_path / "deep").mkdir()
    assert main(["compare", *files, "--set", "layout.tensor=3", "--out", str(out)]) == 2
    assert list((tmp_path / "deep").iterdir()) == []
    assert main(["train", files[0], "-q", "--out", str(out)]) == 0
    assert (out / "summary.json").exists()


def test_settings_reach_into_mappings_of_their_own_names(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", files[0], "-q", "--set", "network.topology.kind=ring"]) == 2
    assert "unknown topology 'ring': choose one of" in capsys.readouterr().err
    assert main(["train", files[0], "-q", "--set", "network.topology.kind=leaf-spine"]) == 0


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("model.foo=3", "unknown field 'model.foo': did you mean model.ffn"),
        ("model.layers=0", "model.layers is 0, which should be greater than or equal to 1"),
        ("model=3", "model is 3, which should be a mapping of fields"),
        ("optimizer.first=1", "optimizer.first is 1, which should be a valid string"),
        ("stages.of=[]", "stages.of is [], which should have at least 1 item, not 0"),
        ("layers=4", "unknown setting 'layers'"),
    ],
)
def test_complaints_name_fields_as_they_are_written(
    setting: str, complaint: str, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", files[0], "-q", "--set", setting]) == 2
    assert complaint in capsys.readouterr().err


def test_settings_reach_into_fields_that_take_one_of_several_parts(files: list[str], tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    settings = ["--set", "model.layers=4", "--set", "optimizer.master=bf16"]
    assert main(["train", files[0], "-q", *settings, "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    layers, hidden = 4, 1024
    ends = 51200 * hidden + 512 * hidden + 2 * hidden
    assert found["model"]["parameters"] == layers * (12 * hidden**2 + 13 * hidden) + ends
    assert found["memory_gb"][1]["optimizer"] == pytest.approx(found["memory_gb"][1]["weights"] * (2 + 4 + 4) / 2)


def test_a_part_that_rounding_leaves_below_nothing_is_printed_as_nothing(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for settings in ([], ["layout.pipeline=1"], ["layout.pipeline=1", "layout.data=1"]):
        assert main(["train", files[0], *(a for s in settings for a in ("--set", s))]) == 0
        assert "-0.0" not in capsys.readouterr().out


def test_a_model_without_tokens_costs_by_the_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(Path(simulator.__file__).parent / "scenarios" / "training" / "mlp.yaml")]) == 0
    out = capsys.readouterr().out
    assert "USD a million samples" in out
    assert "tokens" not in out
    assert "-0.0" not in out


def test_examples_of_the_help_name_files_that_are_there() -> None:
    """An example is run from the root of the repository."""
    root = Path(simulator.__file__).parents[1]
    commands = (root / "simulator" / "cli").glob("*.py")
    named = {
        f for c in commands for f in re.findall(r"\bsimulator/(?:scenarios|planning)/[\w./-]+\.yaml", c.read_text())
    }
    assert named
    assert [f for f in sorted(named) if not (root / f).exists()] == []
