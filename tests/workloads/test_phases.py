"""Phases one after the other: times, lengths, limits, and the same numbers whatever comes before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.workloads.generators import Phased, generate
from simulator.workloads.requests import Requests


def phase(seconds: float, rate: float, prompt: int, output: int) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "arrivals": {"process": "poisson", "rate": rate},
        "prompt_tokens": prompt,
        "output_tokens": output,
    }


SPEC: dict[str, Any] = {"phases": [phase(100, 200, 1000, 10), phase(50, 20, 100, 300)], "seed": 3}


def whole(load: object) -> Requests:
    assert isinstance(load, Phased)
    chunks = list(load.chunks())
    names = ("arrival_s", "prompt_tokens", "output_tokens")
    return Requests(*(np.concatenate([getattr(c, name) for c in chunks]) for name in names))


def test_each_phase_has_its_rate_and_lengths() -> None:
    r = whole(generate(SPEC))
    first = r.arrival_s < 100
    assert np.all(np.diff(r.arrival_s) >= 0)
    assert r.arrival_s[-1] < 150
    assert first.sum() == pytest.approx(20_000, rel=0.03)
    assert (~first).sum() == pytest.approx(1000, rel=0.15)
    assert set(r.prompt_tokens[first]) == {1000}
    assert set(r.output_tokens[~first]) == {300}


def test_faster_and_fewer() -> None:
    load = generate(SPEC)
    assert isinstance(load, Phased)
    some = whole(replace(load, requests=20_500, speed_up=2.0))
    assert len(some) == 20_500
    assert np.array_equal(some.arrival_s, whole(load).arrival_s[:20_500] / 2.0)


def test_a_phase_is_the_same_whatever_the_others_are() -> None:
    other = generate({**SPEC, "phases": [phase(10, 1, 5, 5), SPEC["phases"][1]]})
    second = whole(generate(SPEC)).arrival_s
    assert np.allclose(second[second >= 100] - 100, (a := whole(other).arrival_s)[a >= 10] - 10)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"phases": []}, "phases"),
        ({"phases": [{"seconds": 5}]}, "arrivals"),
        ({"phases": [{**phase(0, 1, 1, 1)}]}, "seconds"),
        ({"phases": [{**phase(5, 1, 1, 1), "sessions": {}}]}, "sessions"),
        ({"phases": [{**phase(5, 1, 1, 1), "arrivals": {"process": "burst"}}]}, "burst"),
        ({"arrivals": {}}, "arrivals"),
    ],
)
def test_wrong_phases_are_named(change: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        generate({**SPEC, **change})
