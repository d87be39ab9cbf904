"""The run as a Chrome trace: open `timeline.json` at https://ui.perfetto.dev."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simulator.report.serving.fleet import most_replicas
from simulator.report.trace import MOST_ITERATIONS, MOST_REQUESTS, Event, write_trace

if TYPE_CHECKING:
    from simulator.experiment import Result


def write_timeline(path: Path, result: Result, *, most_iterations: int = MOST_ITERATIONS) -> None:
    """Write the trace: a process a replica with its iterations and counters, and the first requests' phases.

    Iterations beyond `most_iterations` are left out, which a note in the file's metadata says.
    """
    total = len(result.iteration_columns["start_s"])
    note = {"iterations": total, "iterations_shown": min(total, most_iterations)}
    write_trace(path, note, _events(result, most_iterations))


def write_timelines(path: Path, result: Result) -> None:
    """Write the trace, or one a pool of a cascade: `timeline-small.json` beside `timeline.json`, which is not there."""
    if result.calls is None:
        write_timeline(path, result)
        return
    for name, pool in result.calls.pools.items():
        if len(pool.request_columns["index"]):
            write_timeline(path.with_name(f"{path.stem}-{name}{path.suffix}"), pool)


def _events(result: Result, most: int) -> Iterator[Event]:
    for replica in range(most_replicas(result)):
        yield {"ph": "M", "pid": replica, "name": "process_name", "args": {"name": f"replica {replica}"}}
        yield {"ph": "M", "pid": replica, "tid": 0, "name": "thread_name", "args": {"name": "iterations"}}
    yield from _iterations(result, most)
    yield from _requests(result)


def _iterations(result: Result, most: int) -> Iterator[Event]:
    rows = result.iteration_columns
    order = np.argsort(rows["start_s"], kind="stable")[:most]
    names = (
        "start_s",
        "end_s",
        "replica",
        "steps",
        "decode_sequences",
        "prefill_tokens",
        "running",
        "waiting",
        "kv_blocks_used",
    )
    blocks = {p.first + n: p.deployment.memory.blocks - 1 for p in result.pools for n in range(p.replicas)}
    other = result.deployment.memory.blocks - 1  # of replicas that an autoscaler has added
    free: dict[tuple[int, int], float] = {}
    for start, end, replica, steps, decode, prefill, running, waiting, used in zip(
        *(rows[n][order].tolist() for n in names), strict=True
    ):
        pid = int(replica)
        lane = next(lane for lane in range(1 << 16) if free.get((pid, lane), -1.0) <= start)
        free[pid, lane] = end
        kind = "mixed" if prefill and decode else "prefill" if prefill else f"decode x{int(steps)}"
        yield {
            "ph": "X",
            "pid": pid,
            "tid": lane,
            "ts": start * 1e6,
            "dur": (end - start) * 1e6,
            "name": kind,
            "args": {"steps": int(steps), "decode_sequences": int(decode), "prefill_tokens": int(prefill)},
        }
        counts = (("running", running), ("waiting", waiting), ("KV cache (%)", 100 * used / blocks.get(pid, other)))
        for name, value in counts:
            yield {"ph": "C", "pid": pid, "ts": start * 1e6, "name": name, "args": {"value": value}}


def _requests(result: Result) -> Iterator[Event]:
    """Queued, prefill and decode phases of the first requests, as nested asynchronous slices."""
    c = result.request_columns
    names = (
        "index",
        "replica",
        "arrival_s",
        "scheduled_s",
        "first_token_s",
        "finish_s",
        "prompt_tokens",
        "output_tokens",
    )
    for index, replica, arrival, scheduled, first, finish, prompt, output in zip(
        *(c[n][:MOST_REQUESTS].tolist() for n in names), strict=True
    ):
        same = {"pid": int(replica), "cat": "request", "id": int(index)}
        whole = f"request {int(index)}"
        yield same | {
            "ph": "b",
            "ts": arrival * 1e6,
            "name": whole,
            "args": {"prompt_tokens": prompt, "output_tokens": output},
        }
        for name, start, end in (
            ("queued", arrival, scheduled),
            ("prefill", scheduled, first),
            ("decode", first, finish),
        ):
            yield same | {"ph": "b", "ts": start * 1e6, "name": name}
            yield same | {"ph": "e", "ts": end * 1e6, "name": name}
        yield same | {"ph": "e", "ts": finish * 1e6, "name": whole}
