"""A run in the names of vLLM's Prometheus endpoint, scraped over simulated time.

Names, types, labels and bucket edges are those of vLLM's `vllm/v1/metrics/loggers.py` (0.11 to 0.19), with the
names that 0.9 and 0.10 called deprecated (gpu_cache_usage_perc, time_per_output_token_seconds, ...), which older
boards still ask for. Each replica is an `engine`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simulator.engine.gaps import DatedGaps
from simulator.engine.recorder import Floats
from simulator.errors import InputError
from simulator.report.files import atomic
from simulator.report.serving.fleet import most_replicas
from simulator.report.serving.openmetrics import Buckets, Family, Ints, Points, exposition
from simulator.report.serving.requests import latencies
from simulator.report.serving.scrapes import Events, distribution, level, scrape_times, totals

if TYPE_CHECKING:
    from simulator.experiment import Result

START = "2026-01-01T00:00:00+00:00"
MOST_SAMPLES = 20_000_000
FINISH_REASONS = ("stop", "length", "abort")
FIRST_TOKEN = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
)  # fmt: skip
PER_TOKEN = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
)  # fmt: skip
REQUEST = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
)  # fmt: skip
STEP_TOKENS = (1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0)


def write_metrics(path: Path, result: Result, *, interval_s: float | None = None, start: str | None = None) -> None:
    """Write `metrics.txt`: OpenMetrics text with a sample of every series at each scrape.

    `result` is of a run with `dated_recorder()`. Scrapes are `interval_s` seconds apart (see `scrape_times`), and
    `start`, a date and time, is when the simulated clock reads 0, `START` if None. Raises `InputError` for what cannot
    be used.
    """
    begin = seconds_since_1970(START if start is None else start)
    if not len(result.request_columns["index"]):
        raise InputError("no request finished: there is nothing to write metrics of")
    run = _run(result, interval_s)
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(exposition(_families(result, run), begin + run.times))


@dataclass(frozen=True, slots=True)
class _Run:
    """Scrape times, and by which labels and edges series are told apart."""

    times: Floats
    engines: int
    model: str
    lengths: tuple[float, ...]

    def labels(self, engine: int, **more: str) -> dict[str, str]:
        return {"model_name": self.model, "engine": str(engine), **more}

    def gauge(self, name: str, text: str, values: Floats | Ints) -> Family:
        series = (Points(self.labels(engine), row) for engine, row in enumerate(values))
        return Family(f"vllm:{name}", "gauge", text, tuple(series))

    def counter(self, name: str, text: str, events: Events) -> Family:
        values = np.rint(totals(events, self.times, self.engines)).astype(np.int64)
        return replace(self.gauge(name, text, values), kind="counter")

    def histogram(self, name: str, text: str, edges: tuple[float, ...], events: Events) -> Family:
        counts = distribution(events, edges, self.times, self.engines)
        sums = totals(events, self.times, self.engines)
        series = (Buckets(self.labels(n), edges, counts[n], sums[n]) for n in range(self.engines))
        return Family(f"vllm:{name}", "histogram", text, tuple(series))


def _run(result: Result, interval_s: float | None) -> _Run:
    model = result.deployment.model
    end = float(max(result.request_columns["finish_s"].max(), result.iteration_columns["end_s"].max(initial=0.0)))
    run = _Run(scrape_times(end, interval_s), most_replicas(result), model.name, one_two_five(model.max_tokens))
    samples = len(run.times) * run.engines * 400
    if samples > MOST_SAMPLES:
        least = end * run.engines * 400 / MOST_SAMPLES
        raise InputError(
            f"--metrics-interval gives about {samples:,} samples: give at least {np.ceil(least):g} seconds"
        )
    return run


def one_two_five(most: int) -> tuple[float, ...]:
    """Bucket edges 1, 2, 5, 10, 20, 50, ... that are not above the longest sequence, in tokens."""
    edges = (float(first * 10**power) for power in range(len(str(most))) for first in (1, 2, 5))
    return tuple(edge for edge in edges if edge <= most)


def seconds_since_1970(start: str) -> float:
    """A date and time, of UTC unless it says otherwise, as a timestamp. Raises `InputError` for anything else."""
    try:
        when = datetime.fromisoformat(start)
    except ValueError:
        raise InputError(f"--metrics-start is {start!r}: give a date and time such as {START}") from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _families(result: Result, run: _Run) -> Iterator[Family]:
    yield from _levels(result, run)
    yield from _request_families(result, run)
    yield from _token_gaps(result, run)
    rows = result.iteration_columns
    tokens = (
        rows["prefill_tokens"] + rows.get("decode_tokens", rows["steps"] * rows["decode_sequences"]) / rows["steps"]
    )
    steps = Events(rows["end_s"], rows["replica"].astype(np.int64), tokens, rows["steps"].astype(np.int64))
    yield run.histogram("iteration_tokens_total", "Tokens that an engine step computed.", STEP_TOKENS, steps)


def _levels(result: Result, run: _Run) -> Iterator[Family]:
    c, rows = result.request_columns, result.iteration_columns
    engine, ones = c["replica"].astype(np.int64), np.ones(len(c["index"]))
    phases = (
        ("running", "Requests in model execution batches.", "scheduled_s", "finish_s"),
        ("waiting", "Requests waiting to be processed.", "arrival_s", "scheduled_s"),
    )
    for name, text, first, last in phases:
        values = level(c[first], c[last], ones, engine, run.times, run.engines)
        yield run.gauge(f"num_requests_{name}", text, np.rint(values).astype(np.int64))
    replica = rows["replica"].astype(np.int64)
    used = level(rows["start_s"], rows["end_s"], rows["kv_blocks_used"], replica, run.times, run.engines)
    share = np.rint(used) / _blocks(result, run.engines)[:, np.newaxis]
    yield run.gauge("kv_cache_usage_perc", "KV-cache usage, 1 means 100 percent.", share)
    yield run.gauge("gpu_cache_usage_perc", "The older name of vllm:kv_cache_usage_perc.", share)


def _blocks(result: Result, engines: int) -> Floats:
    """KV blocks that sequences can hold in each engine; replicas that an autoscaler added are like the first."""
    first = result.pools[0].deployment
    blocks = np.full(engines, float((first.memory.blocks - 1) * first.parallel.pipeline))
    for pool in result.pools:
        d = pool.deployment
        blocks[pool.first : pool.first + pool.replicas] = (d.memory.blocks - 1) * d.parallel.pipeline
    return blocks


def _request_families(result: Result, run: _Run) -> Iterator[Family]:
    c, times = result.request_columns, latencies(result)
    engine, once = c["replica"].astype(np.int64), np.ones(len(c["index"]), dtype=np.int64)
    nothing, one = np.zeros(len(once)), np.ones(len(once))
    begun, first, done = (Events(c[n], engine, one, once) for n in ("scheduled_s", "first_token_s", "finish_s"))
    looked_up = 1.0 if result.scenario.kv_cache.prefix_caching else 0.0
    for prefix, note in (("", ""), ("gpu_", "; the older name")):
        queries, hits = (begun.with_values(looked_up * c[n]) for n in ("prompt_tokens", "cached_tokens"))
        yield run.counter(f"{prefix}prefix_cache_queries", f"Tokens looked up in the prefix cache{note}.", queries)
        yield run.counter(f"{prefix}prefix_cache_hits", f"Tokens found in the prefix cache{note}.", hits)
    preempted = done.with_values(c["preemptions"])
    yield run.counter("num_preemptions", "Preemptions of requests, counted when these finish.", preempted)
    prompts = first.with_values(c["prompt_tokens"])
    yield run.counter("prompt_tokens", "Prompt tokens of requests that gave a token.", prompts)
    ended = [done if reason == "length" else done.with_values(nothing) for reason in FINISH_REASONS]
    yield Family("vllm:request_success", "counter", "Finished requests.", tuple(
        Points(run.labels(number, finished_reason=reason), row)
        for reason, events in zip(FINISH_REASONS, ended, strict=True)
        for number, row in enumerate(totals(events, run.times, run.engines).astype(np.int64))
    ))  # fmt: skip
    yield run.histogram("time_to_first_token_seconds", "TTFT.", FIRST_TOKEN, first.with_values(times["ttft"]))
    computed = c["prompt_tokens"] - c["cached_tokens"]
    for name, text, edges, values in (
        ("request_time_per_output_token_seconds", "Mean time per output token of a request.", PER_TOKEN, times["tpot"]),
        ("e2e_request_latency_seconds", "From arrival to last token.", REQUEST, times["e2e"]),
        ("request_queue_time_seconds", "Time in WAITING.", REQUEST, times["queue_wait"]),
        ("request_inference_time_seconds", "Time in RUNNING.", REQUEST, c["finish_s"] - c["scheduled_s"]),
        ("request_prefill_time_seconds", "Time in PREFILL.", REQUEST, c["first_token_s"] - c["scheduled_s"]),
        ("request_decode_time_seconds", "Time in DECODE.", REQUEST, c["finish_s"] - c["first_token_s"]),
        ("request_prompt_tokens", "Prompt tokens of a request.", run.lengths, c["prompt_tokens"]),
        ("request_generation_tokens", "Output tokens of a request.", run.lengths, c["output_tokens"]),
        ("request_max_num_generation_tokens", "Most output tokens asked for.", run.lengths, c["output_tokens"]),
        ("request_params_max_tokens", "The max_tokens parameter.", run.lengths, c["output_tokens"]),
        ("request_prefill_kv_computed_tokens", "Prompt tokens not found in the cache.", run.lengths, computed),
    ):
        yield run.histogram(name, text, edges, done.with_values(values))


def _token_gaps(result: Result, run: _Run) -> Iterator[Family]:
    """Inter-token latencies, and the tokens that they and first tokens add up to."""
    gaps = result.recorder.inter_token
    if not isinstance(gaps, DatedGaps):
        raise InputError("the run did not keep when tokens came: simulate it with recorder=dated_recorder()")
    c, rows, found = result.request_columns, result.iteration_columns, gaps.columns()
    start, end = rows["start_s"][found.row], rows["end_s"][found.row]
    when, engine = start + found.place * (end - start), rows["replica"].astype(np.int64)[found.row]
    tokens = Events(when, engine, found.seconds, found.tokens)
    both = Events(
        np.concatenate([when, c["first_token_s"]]),
        np.concatenate([engine, c["replica"].astype(np.int64)]),
        np.ones(len(when) + len(c["index"])),
        np.concatenate([found.tokens, np.ones(len(c["index"]), dtype=np.int64)]),
    )
    yield run.counter("generation_tokens", "Output tokens.", both)
    yield run.histogram("inter_token_latency_seconds", "Time between tokens.", PER_TOKEN, tokens)
    older = "The older name of vllm:inter_token_latency_seconds."
    yield run.histogram("time_per_output_token_seconds", older, PER_TOKEN, tokens)
