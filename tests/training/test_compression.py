"""Compression policies: bytes in closed form, and what they cost to compute."""

from __future__ import annotations

import pytest

from simulator.cli import main
from simulator.policies.compression import (
    Compression,
    CountSketch,
    DeepGradientCompression,
    Gradient,
    NoCompression,
    OneBitAdam,
    PowerSgd,
    Quantised,
)
from simulator.policies.registry import POLICIES, build_policy
from simulator.report.training.communication import communication_figures
from simulator.workloads.training.communication import Communication
from simulator.workloads.training.job import Layout
from simulator.workloads.training.replica_exchange import sent_bytes
from tests.training.builders import job, step

N, D = 4096.0 * 4096.0, 16
GRADIENT = Gradient(N, 4.0, ((4096.0, 4096.0, 1.0),))
SHARE = (D - 1) / D


def sent(policy: Compression) -> float:
    return sum(map(sent_bytes, policy.reduction(GRADIENT, D, 1).links))


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        (NoCompression(), 2 * SHARE * 4 * N),
        (OneBitAdam(), 2 * SHARE * N / 8),
        (DeepGradientCompression(ratio=0.001), (D - 1) * 0.001 * N * 8),
        (PowerSgd(rank=4), 2 * SHARE * 4 * 4 * (4096 + 4096)),
        (Quantised(bits=8, group=256), 2 * SHARE * N * (1 + 4 / 256)),
        (Quantised(bits=4, group=256), 2 * SHARE * N * (0.5 + 4 / 256)),
        (CountSketch(rows=5, columns=0.002, ratio=0.001), 2 * SHARE * 4 * N * (5 * 0.002 + 2 * 0.001)),
    ],
)
def test_bytes_are_those_of_the_papers(policy: Compression, wanted: float) -> None:
    assert sent(policy) == pytest.approx(wanted)


def test_one_bit_is_a_32nd_of_fp32_and_warm_up_leaves_a_fifth() -> None:
    """Tang et al., arXiv:2102.02888, section 1: up to 5 times less over a run with 15 % of warm-up, in fp16."""
    assert sent(NoCompression()) / sent(OneBitAdam()) == pytest.approx(32)
    assert pytest.approx(4.9, abs=0.05) == 1 / (0.15 + 0.85 / 16)


@pytest.mark.parametrize("name", sorted(POLICIES["compression"]))
def test_one_replica_sends_nothing_and_more_pay_for_computing(name: str) -> None:
    policy: Compression = build_policy("compression", name, {})
    alone = policy.reduction(GRADIENT, 1, 1)
    assert not alone.links
    assert not alone.before
    many = policy.reduction(GRADIENT, D, 1)
    assert many.links
    assert bool(many.before and many.after) == (name != "none")


def test_operators_of_compression_take_time_and_their_errors_memory() -> None:
    layout = Layout(data=8)
    plain = step(job(layout=layout))
    given = Communication(compression=DeepGradientCompression(warm_up=0.25))
    found = step(job(layout=layout, communication=given))
    links = sum(found.of(link) for link in found.exchange.step_gradients(found.states(0).parameters).links)
    assert found.end.reduce_seconds(0) > links
    assert found.states(0).optimizer - plain.states(0).optimizer == pytest.approx(8 * plain.states(0).parameters)
    figures = communication_figures(found, 0)
    wanted = 0.25 * plain.step_seconds + 0.75 * found.step_seconds
    assert figures["mean_step_s"] == pytest.approx(wanted)


def test_compression_in_buckets_sends_the_same_bytes() -> None:
    layout = Layout(data=8)
    whole, bucketed = (
        step(job(layout=layout, communication=Communication(gradient_bucket=b, compression=OneBitAdam())))
        for b in (None, 4e6)
    )
    assert (
        communication_figures(whole, 0)["sent_gb_per_device"]
        == communication_figures(bucketed, 0)["sent_gb_per_device"]
    )
    assert bucketed.exchanging[0].recasting > 0.0


@pytest.mark.parametrize(
    ("kind", "options"),
    [("quantised", "{bits: 3}"), ("power-sgd", "{rank: 0}"), ("deep-gradient-compression", "{ratio: 2}")],
)
def test_wrong_options_are_named(kind: str, options: str, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.training.test_step import EXAMPLE

    setting = f"communication.compression={{policy: {kind}, options: {options}}}"
    assert main(["train", str(EXAMPLE), "--set", setting]) == 2
    assert f"compression policy {kind}" in capsys.readouterr().err
