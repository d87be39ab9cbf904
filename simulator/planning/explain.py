"""Why a deployment is as good as it is: the tight objective, what iterations wait for, and the room that is left."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.engine.breakdown import iteration_parts
from simulator.experiment import Result
from simulator.planning.evaluate import Outcome, Question, evaluate
from simulator.planning.objectives import Objective

QUEUEING = 0.3
TIGHT_CACHE = 0.95


@dataclass(frozen=True)
class Binding:
    """What holds a deployment back, as evidence and as one sentence."""

    objective: str
    tension: float
    phase: str
    bound: str
    shares: dict[str, float]
    kv_headroom: float
    queueing: float
    sentence: str


def tightest(objectives: list[Objective], figures: dict[str, float]) -> Objective:
    """The objective that fills most of its limit."""
    return max(objectives, key=lambda o: o.tension(figures[o.name]))


def binding(question: Question, outcome: Outcome, result: Result) -> Binding:
    """The binding constraint of a deployment from its own run."""
    figures = dict(outcome.figures)
    objective = tightest(question.objectives, figures)
    phase = "prefill" if objective.metric == "ttft" else "decode"
    shares = step_shares(result, phase)
    bound = max(shares, key=lambda name: shares[name])
    headroom = 1.0 - float(outcome.summary["kv_cache"]["max_utilisation"])
    latency = outcome.summary["latency_ms"]
    queueing = latency["queue_wait"]["mean"] / max(latency["ttft"]["mean"], 1e-12)
    words = [
        f"{objective.shown(figures[objective.name])} is the tightest objective",
        f"{phase} is {_bound_words(bound, result)} ({shares[bound]:.0%} of a mean iteration)",
        f"{headroom:.0%} KV headroom" if headroom > 1 - TIGHT_CACHE else f"the KV cache is full ({headroom:.0%} left)",
    ]
    if queueing >= QUEUEING:
        words.append(f"{queueing:.0%} of TTFT is queueing")
    if outcome.summary["preemptions"]:
        words.append(f"{outcome.summary['preemptions']:,} preemptions")
    return Binding(objective.name, outcome.tension, phase, bound, shares, headroom, queueing, "; ".join(words))


def _bound_words(bound: str, result: Result) -> str:
    memory = result.deployment.device.memory_type.upper()
    return {
        "memory": "HBM-bandwidth bound" if memory.startswith("HBM") else "memory-bandwidth bound",
        "compute": "compute bound",
        "network": "interconnect bound",
        "launch": "bound by kernel launches",
        "host": "bound by the engine's host work",
    }.get(bound, f"{bound} bound")


def step_shares(result: Result, phase: str) -> dict[str, float]:
    """Shares of a mean iteration by what holds its parts: compute, memory, network, launch, host.

    The mean is over the time spent in iterations of this phase: those with prompt tokens for "prefill", those with
    decoding sequences for "decode".
    """
    prefill, decode = mean_iteration(result, phase)
    shares: dict[str, float] = {}
    for part in iteration_parts(result.deployment, prefill=prefill, decode=decode):
        shares[part.bound] = shares.get(part.bound, 0.0) + part.share
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def mean_iteration(result: Result, phase: str) -> tuple[list[tuple[int, int]], list[int]]:
    """Prompt chunks and decode contexts of the mean iteration of a phase, weighted by time."""
    rows, requests = result.iteration_columns, result.request_columns
    column = "prefill_tokens" if phase == "prefill" else "decode_sequences"
    chosen = rows[column] > 0
    if not chosen.any():
        chosen = rows["steps"] > 0
    weights = (rows["end_s"] - rows["start_s"])[chosen]

    def mean(name: str) -> float:
        return float(np.average(rows[name][chosen], weights=weights))

    context = int(np.mean(requests["prompt_tokens"] + requests["output_tokens"] / 2))
    decoding = round(mean("decode_sequences"))
    prompts = [] if phase == "decode" else [(0, max(1, round(mean("prefill_tokens"))))]
    if not prompts:
        decoding = max(1, decoding)
    return prompts, [max(1, context)] * decoding


def load_headroom(question: Question, outcome: Outcome, *, accuracy: float = 0.02, most: float = 8.0) -> float:
    """How many times the load this deployment bears: bracketed by doubling, then bisected to `accuracy`.

    1 is the load as asked; each probe simulates the same requests arriving that much faster.
    """

    def bears(factor: float) -> bool:
        faster = replace(question, load=question.load.sped_up(factor))
        return evaluate(faster, outcome.configuration, outcome.replicas).met

    if outcome.configuration.scenario.load.concurrency is not None:
        return math.nan
    low, high = 1.0, 1.25
    while bears(high):
        low, high = high, high * 1.5
        if low >= most:
            return low
    while high / low > 1.0 + accuracy:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if bears(middle) else (low, middle)
    return low


def evidence(found: Binding) -> dict[str, Any]:
    """A binding as plain data."""
    return {
        "sentence": found.sentence,
        "objective": found.objective,
        "share_of_limit": found.tension,
        "phase": found.phase,
        "bound": found.bound,
        "shares_of_mean_iteration": found.shares,
        "kv_headroom": found.kv_headroom,
        "queueing_share_of_ttft": found.queueing,
    }
