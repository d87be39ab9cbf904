"""Whole steps: what they add up to, what memory they take, and the command that runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulator.calibrate.check_training import check_training, measured_seconds
from simulator.cli import main
from simulator.engine.training.memory import check_memory, stage_memory
from simulator.errors import InputError
from simulator.policies.pipeline import ZeroBubble
from simulator.report.training.flops import hardware_flops, model_flops
from simulator.report.training.memory import largest_micro_batch
from simulator.report.training.summary import breakdown, bubble_share
from simulator.workloads.training.job import Layout
from tests.training.builders import job, step

EXAMPLE = Path(__file__).parents[2] / "simulator" / "scenarios" / "training" / "gpt-1t.yaml"
# Published rows of the same table as the measured set, by parameters: arXiv:2205.05198, table 5.
PUBLISHED = """source_table,model,params_b,layers,hidden,ffn_hidden,attention_heads,head_dim,seq_length,vocab_size,\
device,gpus,tensor_parallel,pipeline_parallel,data_parallel,interleaved_stages,micro_batch,global_batch,dtype,recompute,\
sequence_parallel,measured_tflops_per_gpu,measured_iteration_s
korthikanti2022_table5,gpt3-175b,175,96,12288,49152,96,128,2048,51200,nvidia-a100-sxm-80gb,64,8,8,1,3,1,64,fp16,full,False,,18.13
korthikanti2022_table5,gpt3-175b,175,96,12288,49152,96,128,2048,51200,nvidia-a100-sxm-80gb,64,8,8,1,3,1,64,fp16,selective,True,,13.75
"""


def test_the_parts_of_a_step_add_up() -> None:
    found = step(job(layout=Layout(tensor=2, pipeline=4, data=2)))
    assert sum(breakdown(found).values()) == pytest.approx(found.step_seconds)


def test_a_single_device_never_waits() -> None:
    found = step(job())
    assert bubble_share(found) == pytest.approx(0.0)
    assert breakdown(found)["tensor_parallel"] == 0.0
    assert breakdown(found)["gradient_reduction"] == 0.0


def test_recomputation_adds_work_and_no_model_flops() -> None:
    plain, full = step(job()), step(job(recompute="full"))
    assert model_flops(plain) == model_flops(full)
    assert hardware_flops(plain) < hardware_flops(full)
    assert plain.step_seconds < full.step_seconds
    assert stage_memory(plain, 0).activations > stage_memory(full, 0).activations


def test_activations_of_a_stage_are_those_of_the_micro_batches_in_flight() -> None:
    found = step(job(layout=Layout(pipeline=4)))
    assert stage_memory(found, 1).activations == pytest.approx(3 * found.passes[1].saved)


def test_zero_bubble_is_faster_than_1f1b() -> None:
    given = job(layout=Layout(pipeline=4), batch=4)
    assert step(given, ZeroBubble()).timeline.seconds < step(given).timeline.seconds


def test_more_replicas_share_the_batch_and_reduce_their_gradients() -> None:
    one, four = step(job()), step(job(layout=Layout(data=4)))
    assert four.timeline.seconds == pytest.approx(one.timeline.seconds / 4)
    assert four.end.reduce_seconds(0) > 0.0


def test_a_model_that_does_not_fit_says_what_is_missing() -> None:
    with pytest.raises(InputError, match=r"does not fit.*recompute full"):
        check_memory(step(job(layers=96, hidden=12288, heads=96, sequence=2048)))


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (Layout(data=3), "not a multiple"),
        (Layout(pipeline=9), "exceeds the 8 layers"),
        (Layout(tensor=3), "does not divide the 16 heads"),
        (Layout(pipeline=3, chunks=2), "interleaving needs"),
    ],
)
def test_layouts_that_do_not_divide_are_refused(layout: Layout, message: str) -> None:
    with pytest.raises(InputError, match=message):
        step(job(layout=layout))


def test_published_iterations_are_near(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    file.write_text(PUBLISHED)
    found = check_training(file).summary()
    assert found["rows"] == 2
    assert found["overall"]["mape"] < 0.05


def test_measured_flops_become_seconds() -> None:
    row = {
        "hidden": 1024, "seq_length": 512, "layers": 8, "vocab_size": 1024, "global_batch": 4, "gpus": 2,
        "measured_tflops_per_gpu": 100.0,
    }  # fmt: skip
    flops = 96 * 4 * 512 * 8 * 1024**2 * (1 + 512 / (6 * 1024) + 1024 / (16 * 8 * 1024))
    assert measured_seconds(row) == pytest.approx(flops / 2e14)


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(EXAMPLE), "--out", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["layout"]["devices"] == 3072
    assert 0.3 < summary["mfu"] < summary["hfu"] < 0.7
    assert "step" in capsys.readouterr().out


def test_a_wrong_field_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "t.yaml"
    file.write_text(EXAMPLE.read_text().replace("recompute: full", "recompute: some"))
    assert main(["train", str(file)]) == 2
    assert "recompute" in capsys.readouterr().err


def test_ends_that_count_as_layers_leave_their_stages_fewer() -> None:
    given = job(layers=6, layout=Layout(pipeline=4, count_ends=True))
    assert [len(given.chunk_layers(c)) for c in range(4)] == [1, 2, 2, 1]
    assert [len(job(layers=6, layout=Layout(pipeline=4)).chunk_layers(c)) for c in range(4)] == [2, 2, 1, 1]
    bare = job(layers=6, layout=Layout(pipeline=8, count_ends=True))
    assert [len(bare.chunk_layers(c)) for c in range(8)] == [0, 1, 1, 1, 1, 1, 1, 0]
    assert step(bare).step_seconds > 0.0


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ("model={layers: 128, hidden: 16, heads: 32}", "hidden 16"),
        ("model={layers: 128, hidden: 1000, heads: 12}", "12 heads do not divide hidden 1000"),
        ("schedule.options={warm: 1}", "give schedule.policy"),
    ],
)
def test_fields_that_say_nothing_are_refused_in_a_line(
    setting: str, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(EXAMPLE), "--set", setting]) == 2
    error = capsys.readouterr().err
    assert field in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("layout", [Layout(pipeline=4), Layout(chunks=2), Layout(pipeline=2, chunks=2)])
def test_a_model_has_as_many_parameters_however_it_is_cut(layout: Layout) -> None:
    assert step(job(layout=layout)).parameters() == step(job()).parameters()


def test_a_stage_that_keeps_nothing_sets_no_limit_to_the_micro_batch() -> None:
    """Ends that count as layers leave these two layers' last stage the head alone, here without a norm's input."""
    given = job(layers=1, vocab=64, sequence=1, layout=Layout(pipeline=3, count_ends=True), head=False)
    assert largest_micro_batch(step(given)) > 1
