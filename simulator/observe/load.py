"""The load that a server is given: which requests, and when each is sent."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter_ns

import numpy as np

from simulator.errors import InputError
from simulator.observe.stream import Answer
from simulator.workloads.requests import Floats, Requests, RequestSource

Send = Callable[[bytes], Awaitable[Answer]]
Progress = Callable[[int], None]
MOST_REQUESTS = 65_536


def whole(source: RequestSource) -> Requests:
    """The requests of a source, which must be few enough to keep the record of. Raises `InputError` for more."""
    chunks = source.chunks()
    requests = next(chunks)
    if len(requests) > MOST_REQUESTS or next(chunks, None) is not None:
        raise InputError(f"{source.name} has over {MOST_REQUESTS:,} requests: give --limit")
    return requests


async def open_loop(send: Send, bodies: Sequence[bytes], at: Floats, progress: Progress) -> list[Answer]:
    """Send request i at `at[i]` seconds from now, whatever has been answered by then."""
    begin, done = perf_counter_ns(), 0

    async def one(body: bytes) -> Answer:
        nonlocal done
        answer = await send(body)
        done += 1
        progress(done)
        return answer

    tasks: list[asyncio.Task[Answer]] = []
    for body, seconds in zip(bodies, at.tolist(), strict=True):
        left = seconds - (perf_counter_ns() - begin) / 1e9
        if left > 0:
            await asyncio.sleep(left)
        tasks.append(asyncio.create_task(one(body)))
    return list(await asyncio.gather(*tasks))


async def closed_loop(send: Send, bodies: Sequence[bytes], clients: int, progress: Progress) -> list[Answer]:
    """Send requests in order by so many clients, each its next one when the one before has ended."""
    answers = [Answer() for _ in bodies]
    left, done = iter(enumerate(bodies)), 0

    async def client() -> None:
        nonlocal done
        for index, body in left:
            answers[index] = await send(body)
            done += 1
            progress(done)

    await asyncio.gather(*(client() for _ in range(min(clients, len(bodies)))))
    return answers


def lateness(answers: Sequence[Answer], at: Floats) -> Floats:
    """Seconds by which each request was sent later than it should have been, beside the earliest."""
    sent = np.array([answer.sent for answer in answers], dtype=np.float64) / 1e9 - at
    return np.asarray(sent - sent.min(), dtype=np.float64)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Keep the collector from pausing what is being timed."""
    gc.collect()
    gc.freeze()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()
