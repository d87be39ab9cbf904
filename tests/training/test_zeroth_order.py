"""Training without a backward pass against closed forms, inference, and what MeZO's abstract says fits."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cli import main
from simulator.engine.training.memory import RESERVED, check_memory, stage_memory
from simulator.engine.training.peers import Peers
from simulator.engine.training.pipeline import PassSeconds, run_pipeline
from simulator.engine.training.step import Step
from simulator.errors import DoesNotFit
from simulator.hardware.links import Link
from simulator.hardware.power import device_power
from simulator.policies.pipeline import ForwardOnly
from simulator.report.training.energy import stage_energy
from simulator.report.training.flops import hardware_flops, model_flops
from simulator.workloads.training.job import Layout
from simulator.workloads.training.optimizers import STATELESS
from simulator.workloads.training.zeroth_order import NORMAL_FLOPS, SCALED_ADD, ZerothOrder, moved
from simulator.yaml_io import load_yaml
from tests.training.builders import job, step

LINE = Link("line", 1e6, 0.05, 1.0, "a test")


def forward_only(layout: Layout, found: ZerothOrder, *, layers: int = 8, batch: int = 32) -> Step:
    given = job(layers=layers, layout=layout, batch=batch, overlap_sends=True, optimizer=STATELESS)
    return step(replace(given, zeroth_order=found))


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize(("probes", "workers"), [(1, 1), (1, 8), (3, 4)])
def test_a_step_is_its_forward_passes_and_passes_over_the_weights(probes: int, workers: int, each: bool) -> None:
    """2 m forward passes a direction, three moves of the weights, and one more for each direction of any worker."""
    found = forward_only(Layout(data=workers), ZerothOrder(probes, each=each))
    usual = step(job(layout=Layout(data=workers), batch=32))
    assert found.passes[0].forward == usual.passes[0].forward
    forward = usual.pass_seconds.forward[0]
    beside = found.forward_steps
    assert beside is not None
    over = found.of(moved(found.states(0).parameters, 1, found.job.formats.stored))
    directions = probes * 32 // workers if each else probes
    passes = (3 + workers) * directions
    expected = 2 * probes * 32 // workers * forward + passes * over + beside.exchange_seconds
    assert beside.sent == directions * (workers - 1)
    assert found.step_seconds == pytest.approx(expected, rel=1e-12)
    assert (beside.exchange_seconds == 0.0) == (workers == 1)
    assert hardware_flops(found) == model_flops(found) == pytest.approx(2 * probes * model_flops(usual) / 3)


def test_passes_over_the_weights_draw_the_power_of_their_traffic() -> None:
    """Each of the passes that a further worker's direction asks for costs its bytes at full bandwidth, or more."""
    few, many = (forward_only(Layout(data=d), ZerothOrder(), batch=4 * d) for d in (1, 5))
    device, passes = few.law.device, 4
    moved_bytes = passes * 2 * few.states(0).parameters * few.job.formats.stored.bytes
    watts = device_power(device, np.array([0.0]), np.array([1.0]))[0]
    more = stage_energy(many, 0) - stage_energy(few, 0)
    assert more > (watts - device.idle_power) * moved_bytes / device.memory_bandwidth * 0.999


@pytest.mark.parametrize("stages", [2, 4])
def test_a_pipeline_of_forward_passes_is_a_flow_shop(stages: int) -> None:
    """Equal jobs through machines in a row: the sum of all machines, and the slowest once for each further job."""
    found = forward_only(Layout(pipeline=stages), ZerothOrder())
    forward, micro_batches = found.pass_seconds.forward, 2 * 32
    expected = sum(forward) + (micro_batches - 1) * max(forward) + (stages - 1) * found.send_seconds
    assert found.timeline.seconds == pytest.approx(expected)
    assert found.end.tied_seconds() == 0.0


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(1, 20), st.integers(1, 4))
def test_every_micro_batch_goes_through_every_chunk_once(stages: int, micro_batches: int, chunks: int) -> None:
    orders = [ForwardOnly().order(s, stages, micro_batches, chunks) for s in range(stages)]
    for order in orders:
        assert sorted((p.micro_batch, p.chunk) for p in order) == [
            (m, c) for m in range(micro_batches) for c in range(chunks)
        ]
    zeros = [0.0] * (stages * chunks)
    timeline = run_pipeline(orders, PassSeconds([1.0] * (stages * chunks), zeros, zeros, 0.0))
    assert timeline.seconds >= micro_batches * chunks + stages - 1
    if micro_batches % stages == 0:
        assert timeline.seconds == micro_batches * chunks + stages - 1  # no bubble but filling the pipeline


@given(st.integers(1, 40), st.integers(1, 50), st.integers(1, 60))
def test_fused_updates_form_as_many_numbers_in_fewer_passes(probes: int, workers: int, fused: int) -> None:
    found = forward_only(Layout(), ZerothOrder())
    stored = found.job.formats.stored
    calls = list(ZerothOrder(probes, fused).updates(1000.0, stored, probes * workers))
    directions = probes * workers
    assert sum(float(c.op.flops()) * c.count for c in calls) == pytest.approx(
        1000.0 * directions * (NORMAL_FLOPS + SCALED_ADD)
    )
    passes = -(-directions // fused)
    assert sum(float(c.op.bytes()) * c.count for c in calls) == 1000.0 * 2 * stored.bytes * passes


def test_memory_is_that_of_inference() -> None:
    """Weights and what one layer, or the head, works with, however many layers and micro-batches there are."""
    found = stage_memory(forward_only(Layout(data=2), ZerothOrder()), 0)
    deeper = stage_memory(forward_only(Layout(data=2), ZerothOrder(), layers=16, batch=64), 0)
    assert found.states.total == found.states.weights == 2.0 * found.states.parameters
    assert found.activations == deeper.activations == 0.0
    assert found.working == deeper.working > 0.0
    assert found.total == found.states.weights + found.working + RESERVED
    usual = stage_memory(step(job(layout=Layout(data=2), batch=32)), 0)
    assert found.working < usual.activations / 4


def test_what_fits_on_one_device_is_what_mezo_says() -> None:
    """On one A100 of 80 GB 30 billion parameters fit, with Adam and a backward pass only 2.7 of OPT's sizes do."""
    opt: dict[float, dict[str, Any]] = {
        2.7: {"layers": 32, "hidden": 2560, "heads": 32}, 6.7: {"layers": 32, "hidden": 4096, "heads": 32},
        30: {"layers": 48, "hidden": 7168, "heads": 56},
    }  # fmt: skip
    rest: dict[str, Any] = {"vocab": 50272, "sequence": 2048, "batch": 1}
    check_memory(step(job(**opt[2.7], **rest)))
    with pytest.raises(DoesNotFit):
        check_memory(step(job(**opt[6.7], **rest)))
    check_memory(step(job(**opt[30], **rest, optimizer=STATELESS, zeroth_order=ZerothOrder())))


def hops(workers: int, neighbours: int) -> list[int]:
    """Shortest ways from worker 0 in a circle in which each tells the next `neighbours`, by breadth-first search."""
    found, waiting = {0: 0}, deque([0])
    while waiting:
        here = waiting.popleft()
        for there in ((here + k) % workers for k in range(1, neighbours + 1)):
            if there not in found:
                found[there] = found[here] + 1
                waiting.append(there)
    return sorted(found[w] for w in range(1, workers))


@given(st.integers(2, 40), st.integers(1, 45), st.floats(0.125, 8.0), st.floats(0.0, 80.0))
def test_scalars_pass_from_neighbour_to_neighbour(workers: int, neighbours: int, payload: float, header: float) -> None:
    """Every worker hears of every other once; fewer neighbours are fewer headers and later scalars."""
    near, every = Peers(LINE, header, neighbours), Peers(LINE, header)
    assert [d + 1 for d in near.delays(workers)] == hops(workers, min(neighbours, workers - 1))
    assert not any(every.delays(workers))
    others = workers - 1
    assert every.sent(workers, payload) == pytest.approx(others * (payload + header))
    saved = every.sent(workers, payload) - near.sent(workers, payload)
    assert saved == pytest.approx(max(0, others - neighbours) * header, abs=1e-9)
    assert every.seconds(workers, payload) == pytest.approx(0.05 + every.sent(workers, payload) / 1e6)


FILE = """
kind: training
model: {layers: 8, hidden: 1024, heads: 16}
device: nvidia-a100-sxm-80gb
batch: {sequence: 512, global_size: 32}
layout: {pipeline: 2, data: 8}
zeroth_order: {link: ethernet-1, gbit_per_s: 0.01, latency_ms: 80}
"""


def test_a_scenario_tells_a_byte_a_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "test.yaml"
    file.write_text(FILE)
    assert main(["train", str(file), "--out", str(tmp_path), "--timeline"]) == 0
    assert "catching up on a missed step" in capsys.readouterr().out
    summary = load_yaml(tmp_path / "summary.json")
    assert isinstance(summary, dict)
    found = summary["zeroth_order"]
    assert found["bytes_per_gradient"] == 1.0
    assert found["sent_bytes"] == 7 * 41
    assert found["exchanging_s"] == pytest.approx(0.08 + 7 * 41 * 8 / 1e7, rel=1e-3)
    assert found["catching_up"]["bytes_per_step"] == 8.0
    assert summary["communication"]["sent_gb_per_device"]["projected_gradients"] == 7 * 41 / 1e9
    assert sum(summary["breakdown_s"].values()) == pytest.approx(summary["step_s"])
    assert np.isclose(summary["breakdown_s"]["optimizer"], found["perturbing_s"] + found["updating_s"], rtol=0.05)
    slow = ["--set", "stragglers={slowdowns: [{kind: static, workers: 16, factor: 2}]}", "--json", str(tmp_path / "s")]
    assert main(["train", str(file), *slow]) == 0
    slower = load_yaml(tmp_path / "s")
    assert isinstance(slower, dict)
    added = slower["stragglers"]["step_s"]["mean"] - summary["step_s"]
    passes = summary["breakdown_s"]["forward"] + summary["breakdown_s"]["wait"]
    assert added == pytest.approx(passes, rel=0.05)  # all devices take twice as long, links do not


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("optimizer=sgd", "optimizer"),
        ("recompute=full", "recompute full"),
        ("layout.zero=1", "layout.zero 1"),
        ("schedule.policy=gpipe", "schedule.policy"),
        ("communication.local={steps: 4}", "communication of gradients"),
        ("sites={count: 2}", "give zeroth_order.link"),
        ("parameter_server={}", "parameter_server"),
        ("stages={each: [{layers: 3}, {layers: 5}]}", "stages"),
        ("zeroth_order={neighbours: 2}", "neighbours is of a link"),
    ],
)
def test_what_cannot_be_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, message: str
) -> None:
    file = tmp_path / "test.yaml"
    file.write_text(FILE)
    assert main(["train", str(file), "--set", setting]) == 2
    assert message in capsys.readouterr().err
