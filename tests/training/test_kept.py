"""Formats of kept activations and of optimiser states: bytes by hand, and conversions that take time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator.assembly.training_formats import formats_of, optimizer_of
from simulator.specs.training import AdamSpec, TrainingFormatsSpec
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.training.job import Formats, Job
from simulator.workloads.training.kept import Kept
from simulator.workloads.training.optimizers import ADAM
from simulator.workloads.training.passes import passes_of
from simulator.workloads.training.states import stage_states
from tests.training.builders import job, step

FP8, BF16, FP32 = DTYPES["fp8"], DTYPES["bf16"], DTYPES["fp32"]


def with_formats(formats: Formats) -> Job:
    return replace(job(), formats=formats)


def test_bytes_kept_are_those_of_each_kind() -> None:
    """A layer of a GPT without dropout keeps sbh (4 + 2 + 6 + 2 + 2 + 8 + 8): norms, qkv input, qkv, ... in bf16."""
    s, h, layers = 512, 1024, 8
    plain = passes_of(with_formats(Formats()), 0).saved

    def less(kept: Kept) -> float:
        return (plain - passes_of(with_formats(Formats(kept=kept)), 0).saved) / (s * h * layers)

    assert less(Kept(norms=FP8)) == pytest.approx(2)
    assert less(Kept(products=FP8)) == pytest.approx(1 + 1 + 1 + 4)
    assert less(Kept(activations=FP8)) == pytest.approx(4)
    assert less(Kept(attention=FP8)) == pytest.approx(3)


def test_conversions_take_time_and_products_in_the_same_format_need_none_back() -> None:
    plain, kept, products = (
        step(with_formats(Formats(kept=k))) for k in (Kept(), Kept(norms=FP8, activations=FP8), Kept(products=FP8))
    )
    assert plain.pass_seconds.forward[0] < kept.pass_seconds.forward[0] < products.pass_seconds.forward[0]
    assert kept.pass_seconds.backward[0] < plain.pass_seconds.backward[0] < products.pass_seconds.backward[0]
    wide = passes_of(with_formats(Formats(kept=Kept(products=FP8))), 0)
    narrow = passes_of(with_formats(Formats(compute=FP8, kept=Kept(products=FP8))), 0)
    assert len(narrow.inputs) < len(wide.inputs)


def test_states_in_formats_of_their_own() -> None:
    """The usual Adam comes out as it stands in the table; with FP8 moments and no master copy 2 bytes are left."""
    usual = optimizer_of(AdamSpec(), TrainingFormatsSpec())
    assert (usual.states, usual.moved, usual.flops) == (ADAM.states, ADAM.moved, ADAM.flops)
    spec = TrainingFormatsSpec(compute="fp8", weights="bf16", gradients="bf16")
    small = optimizer_of(AdamSpec(master=None, first="fp8", second="fp8"), spec)
    given = replace(job(), formats=formats_of(spec), optimizer=small)
    assert stage_states(given, 0).total == pytest.approx((2 + 2 + 2) * stage_states(given, 0).parameters)
    assert small.moved == pytest.approx(2 + 2 * 2 + 2 * 2)
