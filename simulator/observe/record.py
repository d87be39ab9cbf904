"""A recording from first warm-up to last answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from simulator.errors import InputError
from simulator.observe.client import ask, client_session
from simulator.observe.endpoint import Endpoint
from simulator.observe.latency import Observed
from simulator.observe.load import Progress, Send, closed_loop, lateness, no_garbage_collection, open_loop, whole
from simulator.observe.prompts import prompt_text
from simulator.observe.stream import Answer
from simulator.workloads.requests import Requests

WARM_UP_TOKENS = 64
WARM_UP_OUTPUT = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """How a load is offered: by its arrival times, or by `concurrency` clients; `warm_up` requests come before.

    `timeout_s` limits one request from sending to its end.
    """

    concurrency: int | None = None
    warm_up: int = 2
    timeout_s: float = 600.0
    seed: int = 0


def record(
    where: Endpoint, requests: Requests, plan: Plan, *, key: str | None = None, progress: Progress = lambda done: None
) -> Observed:
    """Offer a load to a server and note when every token came.

    Raises `InputError` where the server cannot be reached, refuses the warm-up, or answers no request at all.
    """
    return asyncio.run(recording(where, requests, plan, key=key, progress=progress))


async def recording(
    where: Endpoint, requests: Requests, plan: Plan, *, key: str | None = None, progress: Progress = lambda done: None
) -> Observed:
    """As `record`, in the event loop that is running."""
    async with client_session(key, plan.timeout_s) as session:
        send: Send = partial(ask, session, where.url)
        more = await _warm_up(send, where, plan, len(requests))
        bodies = [_body(where, requests, index, more, plan.seed) for index in range(len(requests))]
        at = requests.arrival_s - requests.arrival_s[0]
        with no_garbage_collection():
            if plan.concurrency is None:
                answers = await open_loop(send, bodies, at, progress)
            else:
                answers = await closed_loop(send, bodies, plan.concurrency, progress)
    _some_succeeded(answers)
    return Observed(requests, answers, lateness(answers, at) if plan.concurrency is None else None)


async def _warm_up(send: Send, where: Endpoint, plan: Plan, first: int) -> int:
    """Send the warm-up, one after the other; returns the tokens that the server adds to the words of a prompt.

    Their prompts are those of numbers from `first` on, so that no request finds them in a prefix cache.
    """
    more = 0
    for number in range(plan.warm_up):
        answer = await send(where.body(prompt_text(plan.seed, first + number, WARM_UP_TOKENS), WARM_UP_OUTPUT))
        if answer.failure is not None:
            raise InputError(f"{where.url} did not answer a warm-up request: {answer.failure}")
        if answer.prompt_tokens is not None:
            more = answer.prompt_tokens - WARM_UP_TOKENS
    # Beyond this the words are not single tokens, and a constant would not mend it.
    return more if 0 <= more < WARM_UP_TOKENS else 0


def _body(where: Endpoint, requests: Requests, index: int, more: int, seed: int) -> bytes:
    words = max(1, int(requests.prompt_tokens[index]) - more)
    return where.body(prompt_text(seed, index, words, requests.prefix), int(requests.output_tokens[index]))


def _some_succeeded(answers: Sequence[Answer]) -> None:
    if all(answer.failure is not None for answer in answers):
        raise InputError(f"no request was answered; the first: {answers[0].failure}")


def generated(requests: int, rate: float | None, prompt_tokens: int, output_tokens: int, seed: int) -> Requests:
    """Requests of equal lengths, arriving as a Poisson process of `rate` a second, or all at once without one.

    Raises `InputError` for numbers out of range.
    """
    from simulator.workloads.generators import generate

    arrivals = {"process": "burst"} if rate is None else {"process": "poisson", "rate": rate}
    given = {"prompt_tokens": prompt_tokens, "output_tokens": output_tokens, "requests": requests, "seed": seed}
    return whole(generate({"arrivals": arrivals, **given}))
