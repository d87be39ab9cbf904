"""What no simulation of a configuration can beat: its least latencies, and the fewest replicas that could do.

Every bound is optimistic, so that pruning by it never removes a deployment that meets the objectives:

- a request's latencies are at least those of its own tokens alone on the replica (`Roofline`);
- of the requests that arrive in a window and whose objectives make them finish in it, all but as many as the
  objectives let miss have their whole work done inside it, by replicas that each have one window of time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.engine.deployment import Deployment
from simulator.planning.load import HeldLoad
from simulator.planning.objectives import MILLISECONDS, Objective
from simulator.planning.roofline import Roofline
from simulator.planning.space import Configuration
from simulator.scenario import Scenario
from simulator.workloads.graph import spans

Floats = NDArray[np.float64]
STARTS = 32
LENGTHS = 10
ROUNDING = 1e-9


@dataclass(frozen=True)
class Windows:
    """Stretches of time, and the requests that each must serve whole if no request misses.

    `members` has shape (windows, requests), `seconds` (windows,), `misses` says how many requests may miss.
    """

    members: Floats
    seconds: Floats
    misses: int

    def replicas(self, work: Floats) -> float:
        """Replicas that the busiest window needs for requests that take `work` seconds of one."""
        if not len(self.seconds):
            return 0.0
        excused = float(np.sort(work)[len(work) - self.misses :].sum()) if self.misses else 0.0
        return float(np.max((self.members @ work - excused) / self.seconds))


def windows_of(arrival: Floats, seconds_allowed: Floats, misses: int) -> Windows:
    """Windows over a grid of starts and lengths for requests due `seconds_allowed` after they arrive."""
    due = arrival + seconds_allowed
    span = float(due.max() - arrival[0])
    shortest = max(float(np.median(seconds_allowed)), span * 1e-3, ROUNDING)
    lengths = np.geomspace(shortest, max(span, shortest * 1.0001), LENGTHS)
    starts = arrival[np.unique(np.linspace(0, len(arrival) - 1, STARTS).astype(int))]
    begin, length = (g.ravel() for g in np.meshgrid(starts, lengths, indexing="ij"))
    members = (arrival >= begin[:, None]) & (due <= (begin + length)[:, None])
    return Windows(members.astype(np.float64), length, min(misses, len(arrival)))


class Bounds:
    """Bounds for one load and its objectives; ask `of` for a configuration.

    Windows need arrivals that do not depend on the replicas: an open loop without sessions that wait.
    """

    def __init__(self, load: HeldLoad, objectives: list[Objective], *, open_loop: bool) -> None:
        self.load, self.objectives = load, objectives
        self.arrival = load.arrival_s
        self.prompt = load.prompt_tokens.astype(np.float64)
        self.output = load.output_tokens.astype(np.float64)
        self.final = int((load.prompt_tokens + load.output_tokens).max()) - 1
        self.longest = int(load.prompt_tokens.max())
        self._prefill, self._whole = self._windows() if open_loop else (None, None)

    def _windows(self) -> tuple[Windows | None, Windows | None]:
        """Windows in which prompts are due by TTFT, and whole requests by E2E or by TTFT and TPOT together."""
        n = len(self.arrival)
        prompts: list[Windows] = []
        whole: list[Windows] = []
        limits: dict[str, tuple[float, int]] = {}
        for o in self.objectives:
            if o.mask is not None:
                continue
            for metric, bound in o.bounds.items():
                misses, seconds = o.misses_allowed(n), bound / MILLISECONDS
                if metric not in limits or misses < limits[metric][1]:
                    limits[metric] = (seconds, misses)
        if "ttft" in limits:
            seconds, misses = limits["ttft"]
            prompts.append(windows_of(self.arrival, np.full(n, seconds), misses))
        if "ttft" in limits and "tpot" in limits:
            due = limits["ttft"][0] + limits["tpot"][0] * np.maximum(self.output - 1, 0)
            whole.append(windows_of(self.arrival, due, limits["ttft"][1] + limits["tpot"][1]))
        elif "e2e" in limits:
            whole.append(windows_of(self.arrival, np.full(n, limits["e2e"][0]), limits["e2e"][1]))
        return (prompts[0] if prompts else None), (whole[0] if whole else None)

    def of(self, configuration: Configuration, deployment: Deployment) -> Bound:
        """The bound of a configuration that fits its devices.

        Mechanisms that change what a request has to compute or where leave nothing but the memory to go by.
        """
        if not _plain(configuration.scenario):
            return self._nothing_known(configuration, deployment)
        roofs = Roofline(deployment)
        cached = self.load.shared_prefixes and configuration.scenario.kv_cache.prefix_caching
        prompt = np.ones_like(self.prompt) if cached else self.prompt
        latencies = self._latencies(deployment, roofs, prompt)
        figures = {o.name: o.value(latencies, o.mask) for o in self.objectives}
        tension = max((o.tension(figures[o.name]) for o in self.objectives), default=0.0)
        needed = self._replicas(configuration, deployment, roofs, prompt)
        capacity = (deployment.memory.blocks - 1) * configuration.scenario.kv_cache.block_size
        return Bound(max(1, math.ceil(needed - ROUNDING)), figures, tension, latencies, capacity >= self.final)

    def _nothing_known(self, configuration: Configuration, deployment: Deployment) -> Bound:
        zero = {name: np.zeros(len(self.prompt)) for name in ("ttft", "tpot", "e2e")}
        figures = {o.name: o.value(zero, o.mask) for o in self.objectives}
        capacity = (deployment.memory.blocks - 1) * configuration.scenario.kv_cache.block_size
        return Bound(1, figures, 0.0, zero, capacity >= self.final)

    def _latencies(self, d: Deployment, roofs: Roofline, prompt: Floats) -> dict[str, Floats]:
        """Least seconds of each request: TTFT, TPOT and E2E, for a request alone on a replica."""
        overheads = d.timer.overheads
        fixed = overheads.frontend + overheads.ingestion + overheads.step_seconds(1)
        known = spans(d.model)
        one = np.ones(1)
        last = float(roofs.head.seconds(one)[0])
        first = np.full(len(prompt), fixed + last)
        step = np.full(len(prompt), overheads.step_seconds(1) + last)
        for stage, linear in enumerate(roofs.stages):
            first += _by_value(prompt, linear.seconds)
            step += float(linear.seconds(one)[0])
            for i, span in enumerate(known):
                first += roofs.prompt_pair_seconds[stage][i] * pairs(prompt, span.tokens, span.chunked)
                if not span.chunked:
                    context = self.prompt + 1 if span.tokens is None else np.minimum(self.prompt + 1, span.tokens)
                    step += roofs.decode_key_seconds[stage][i] * context
        more = np.maximum(self.output - 1, 0)
        tpot = np.where(more > 0, step, np.nan)
        shrink = 1.0 - ROUNDING
        return {"ttft": first * shrink, "tpot": tpot * shrink, "e2e": (first + step * more) * shrink}

    def _replicas(self, c: Configuration, d: Deployment, roofs: Roofline, prompt: Floats) -> float:
        """Replicas that some window needs at least, by the arithmetic or the memory traffic of some stage."""
        needed = 0.0
        batch = max(1, d.limits.max_num_seqs // d.parallel.pipeline)
        one = np.ones(1)
        for stage, linear in enumerate(roofs.stages):
            token = float(linear.flop_seconds.sum())
            arithmetic = prompt * token
            for i, span in enumerate(spans(d.model)):
                arithmetic = arithmetic + roofs.prompt_pair_seconds[stage][i] * pairs(prompt, span.tokens, span.chunked)
            if self._prefill is not None:
                needed = max(needed, self._prefill.replicas(arithmetic))
            if self._whole is None:
                continue
            steps = np.maximum(self.output - 1, 0)
            needed = max(needed, self._whole.replicas(arithmetic + steps * token))
            keys = sum(
                float(roofs.decode_key_seconds[stage][i])
                * (self.prompt if span.tokens is None else np.minimum(self.prompt, span.tokens))
                for i, span in enumerate(spans(d.model))
                if not span.chunked
            )
            iteration = float(linear.seconds(one)[0])
            needed = max(needed, self._whole.replicas(steps * (iteration / batch + keys)))
        return needed


def _plain(scenario: Scenario) -> bool:
    """Whether every request is computed whole, token by token, by the replica that it is sent to."""
    usual = Scenario.model_fields
    parts = (
        "disaggregation", "partition", "speculation", "execution", "attention_offload", "feed_forward",
        "shared_prefix_tokens", "experts", "admission", "prompt_model", "pairing",
    )  # fmt: skip
    cache = scenario.kv_cache
    return (
        all(getattr(scenario, name) == usual[name].default for name in parts)
        and cache.keep_share is None
        and not cache.tiers
    )


@dataclass(frozen=True)
class Bound:
    """Fewest replicas, least figures by objective, how far they fill the limits, least seconds by request.

    `holds_longest` is False where the longest request exceeds the KV cache of a replica.
    """

    replicas: int
    figures: Mapping[str, float]
    tension: float
    latencies: Mapping[str, Floats]
    holds_longest: bool


def pairs(new: Floats, tokens: int | None, chunked: bool) -> Floats:
    """(query, key) pairs of prompts of `new` tokens from an empty cache: `Span.pairs` for arrays.

    A kernel for chunked attention is taken to skip what lies outside a window of half a chunk.
    """
    if tokens is None:
        return np.asarray(new * (new + 1) / 2)
    window = tokens // 2 if chunked else tokens
    inside = np.minimum(new, window)
    return np.asarray(inside * (inside + 1) / 2 + (new - inside) * window)


def _by_value(values: Floats, function: Callable[[Floats], Floats]) -> Floats:
    """A function of token counts, asked once for each distinct count."""
    distinct, back = np.unique(values, return_inverse=True)
    return np.asarray(function(distinct)[back])
