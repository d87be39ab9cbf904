"""Small cascades for tests."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from simulator.cascade.spec import Cascade
from simulator.experiment import Result
from simulator.kinds import experiment_from, run_experiment

SMALL: dict[str, Any] = {"model": "meta-llama/Llama-3.2-1B", "device": "nvidia-l4-24gb"}
LARGE: dict[str, Any] = {"model": "meta-llama/Llama-3.1-8B", "device": "nvidia-a100-sxm-80gb"}


def load(requests: int = 60, rate: float = 2.0, prompt: int = 300, output: int = 20, **more: Any) -> dict[str, Any]:
    """Poisson arrivals of requests of equal lengths."""
    generator = {
        "arrivals": {"process": "poisson", "rate": rate},
        "prompt_tokens": {"law": "fixed", "tokens": prompt},
        "output_tokens": {"law": "fixed", "tokens": output},
        "requests": requests,
    }
    return {"generator": generator, **more}


def cascade(**fields: Any) -> Cascade:
    """A cascade of a small and a large pool, with `fields` in place of the usual."""
    usual = {"kind": "cascade", "pools": {"small": SMALL, "large": LARGE}, "load": load()}
    made = experiment_from(usual | fields)
    assert isinstance(made, Cascade)
    return made


def served(**fields: Any) -> Result:
    """The run of such a cascade."""
    return run_experiment(cascade(**fields))


def assert_conserved(result: Result, requests: int) -> None:
    """Every request ends once, every call belongs to one, rounds follow each other, and tokens add up."""
    calls = result.calls
    assert calls is not None
    c, made = result.request_columns, calls.columns
    ended = [*c["index"].astype(int).tolist(), *(i for i, _ in result.rejected), *result.shed]
    assert sorted(ended) == list(range(requests))
    assert len(np.unique(made["call"])) == len(made["call"])
    assert sum(len(run.request_columns["index"]) for run in calls.pools.values()) == len(made["call"])
    finished = np.isin(made["index"], c["index"])
    for column, total in (("prompt_tokens", "called_prompt_tokens"), ("output_tokens", "called_output_tokens")):
        summed = np.bincount(made["index"][finished].astype(int), made[column][finished], minlength=requests)
        assert summed[c["index"].astype(int)].tolist() == c[total].tolist()
        of_pools = sum(float(run.request_columns[column].sum()) for run in calls.pools.values())
        assert of_pools == float(made[column].sum())
    for name, run in calls.pools.items():
        mine = made["pool"] == list(calls.pools).index(name)
        assert sorted(run.request_columns["index"].tolist()) == sorted(made["call"][mine].tolist())
    order = ("sent_s", "arrival_s", "scheduled_s", "first_token_s", "finish_s", "answered_s")
    for before, after in pairwise(order):
        assert np.all(made[before] <= made[after] + 1e-12), (before, after)
    for index in c["index"]:
        own = made["index"] == index
        ends = {r: float(made["answered_s"][own & (made["round"] == r)].max()) for r in np.unique(made["round"][own])}
        assert sorted(ends) == list(range(len(ends)))
        for number, end in ends.items():
            following = made["sent_s"][own & (made["round"] == number + 1)]
            assert np.all(following == end)
    assert np.all(c["arrival_s"] <= c["first_token_s"])
    assert np.all(c["first_token_s"] <= c["finish_s"])
