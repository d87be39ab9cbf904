"""Attention over a cache against counts of waves, and what holds however it is dealt to the units."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.hardware.architectures.work import work_of
from simulator.hardware.decode_attention import parts_of
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.relatives import calibrations_for
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators.products import DecodeAttention

FP16 = DTYPES["fp16"]
UNITS = 108


def law(name="nvidia-a100-sxm-80gb"):
    found = device(name)
    return TimingLaw(found, calibrations_for(found), fabric_of(found, None))


A100 = law()


def attention(split, sequences=1.0, heads=32.0, keys=65536.0, group=1.0, cache=FP16):
    return DecodeAttention(sequences, heads, group, keys, 128.0, 128.0, FP16, cache, split)


def busy(op):
    """Seconds without the launch and what combines parts."""
    return float(np.asarray(A100.roofs(op).memory))


def test_idle_units_slow_whole_heads_down_as_their_number_says():
    """Where each unit is slower than its share of the memory, twice the heads take the same time in one wave."""
    few, more = (busy(attention("heads", heads=n)) for n in (8.0, 16.0))
    assert few == pytest.approx(more)
    assert busy(attention("even", heads=16.0)) == pytest.approx(2 * busy(attention("even", heads=8.0)), rel=0.01)


def test_one_head_more_than_units_takes_a_second_wave():
    one, two = (busy(attention("heads", heads=float(n))) for n in (UNITS, UNITS + 1))
    even = busy(attention("even", heads=float(UNITS + 1)))
    assert two > 1.4 * one
    assert even == pytest.approx(one * (UNITS + 1) / UNITS, rel=0.01)


def test_parts_are_the_least_that_nearly_fill_waves():
    """By hand: 32 pieces on 108 units are 0.89 of a wave in three parts each; 90 pieces stay whole."""
    assert float(parts_of(32.0, 512.0, UNITS)) == 3.0
    assert float(parts_of(90.0, 512.0, UNITS)) == 1.0
    assert parts_of(np.array([32.0, 90.0]), np.array([512.0, 512.0]), UNITS).tolist() == [3.0, 1.0]
    assert float(parts_of(1.0, 2.0, UNITS)) == 2.0


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 200_000))
def test_even_shares_are_never_slower_and_none_beats_the_memory(sequences, heads, keys):
    times = {s: busy(attention(s, float(sequences), float(heads), float(keys))) for s in ("heads", "keys", "even")}
    assert times["even"] <= times["heads"] * (1 + 1e-9)
    least = attention("even", float(sequences), float(heads), float(keys)).bytes() / A100.device.memory_bandwidth
    assert min(times.values()) >= 0.99 * least


def test_every_split_does_the_same_work():
    ops = [attention(split, group=4.0) for split in ("heads", "keys", "even")]
    assert len({op.bytes() for op in ops}) == len({op.flops() for op in ops}) == 1
    assert ops[0].bytes() == 32 * 256 * 2 * (65536 + 4)
    assert work_of(ops[0]).bytes == ops[0].bytes()
    assert work_of(ops[0]).macs == ops[0].macs == 32 * 4 * 65536 * 256


def test_a_narrow_cache_moves_fewer_bytes():
    full = attention("even", sequences=16.0)
    narrow = attention("even", sequences=16.0, cache=DTYPES["fp8"])
    assert busy(narrow) < busy(full)


def test_candidates_side_by_side_take_what_each_takes():
    heads = np.array([8.0, 32.0, 109.0])
    for split in ("heads", "keys", "even"):
        together = np.asarray(A100.seconds(attention(split, heads=heads)))
        assert together == pytest.approx([float(np.asarray(A100.seconds(attention(split, heads=h)))) for h in heads])
