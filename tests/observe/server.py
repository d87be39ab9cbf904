"""A small OpenAI-compatible server that streams words at given times and notes its own clock.

`python server.py LOG` prints its address, and appends a JSON line a request to LOG: seconds from receipt of the request
to each write of tokens, by `perf_counter_ns`. The model's name says how it behaves: "usage" (a running count in each
event), "pairs" (two tokens an event), "silent" (no usage), "cut" and "broken" (in the middle of the stream), "refuse",
"redirect", "json" (no stream), "slow" or "flaky" (every second request is refused); any other just streams.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
from collections.abc import AsyncIterator
from time import perf_counter_ns
from typing import Any, TextIO

from aiohttp import web

PREFILL_S, STEP_S = 0.03, 0.02
NUMBER = itertools.count()
LOG = web.AppKey("log", TextIO)


async def answer(request: web.Request) -> web.StreamResponse:
    begin = perf_counter_ns()
    asked = await request.json()
    model, chat = asked["model"], "messages" in asked
    refused = await _refusal(model, next(NUMBER))
    if refused is not None:
        return refused
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    writes: list[float] = []
    prompt = asked["messages"][0]["content"] if chat else asked["prompt"]
    usage = {"prompt_tokens": len(prompt.split(" ")) + 3, "completion_tokens": 0}
    async for tokens in _steps(asked["max_tokens"], 2 if model == "pairs" else 1, begin):
        usage["completion_tokens"] += tokens
        event = _event(chat, " word" * tokens, model == "usage" and usage)
        writes.append((perf_counter_ns() - begin) / 1e9)
        await response.write(event)
        if model == "cut" and len(writes) == 3:
            request.transport.abort()
            return response
        if model == "broken" and len(writes) == 3:
            await response.write(b'data: {"error": {"message": "engine died"}}\n\n')
            return response
    log = {"model": model, "writes": writes, "key": request.headers.get("Authorization"), "asked": asked}
    request.app[LOG].write(json.dumps(log) + "\n")
    request.app[LOG].flush()
    if model != "silent":
        await response.write(_data({"choices": [], "usage": usage}))
    await response.write(b"data: [DONE]\n\n")
    return response


async def _refusal(model: str, number: int) -> web.StreamResponse | None:
    if model == "refuse" or (model == "flaky" and number % 2):
        return web.json_response({"error": {"message": f"the model {model} does not exist"}}, status=404)
    if model == "redirect":
        raise web.HTTPTemporaryRedirect("http://127.0.0.1:9/")
    if model == "json":
        return web.json_response({"choices": [{"text": "whole"}]})
    if model == "slow":
        await asyncio.sleep(5)
    return None


async def _steps(tokens: int, at_once: int, begin: int) -> AsyncIterator[int]:
    """How many tokens each step gives, at fixed times after the request came."""
    for step, first in enumerate(range(0, tokens, at_once)):
        due = PREFILL_S + STEP_S * step - (perf_counter_ns() - begin) / 1e9
        await asyncio.sleep(max(due, 0.0))
        yield min(at_once, tokens - first)


def _event(chat: bool, text: str, usage: dict[str, int] | bool) -> bytes:
    choice = {"delta": {"content": text}} if chat else {"text": text}
    return _data({"choices": [{"index": 0, "finish_reason": None, **choice}]} | ({"usage": usage} if usage else {}))


def _data(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


@contextlib.asynccontextmanager
async def serving(log: TextIO) -> AsyncIterator[str]:
    """Serve in the running loop; gives the address."""
    app = web.Application(client_max_size=1 << 24)
    app[LOG] = log
    app.add_routes([web.post("/v1/completions", answer), web.post("/v1/chat/completions", answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def main(path: str) -> None:
    with open(path, "a", encoding="utf-8") as log:
        async with serving(log) as url:
            print(url, flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1]))
