"""One request over HTTP, stamped as its events come in."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from simulator.errors import InputError
from simulator.observe.stream import Answer, EventReader, error_text

if TYPE_CHECKING:
    import aiohttp

LONGEST_ERROR = 65_536


@asynccontextmanager
async def client_session(key: str | None, timeout_s: float) -> AsyncIterator[aiohttp.ClientSession]:
    """A session without proxies or a limit on connections; `key` is sent as a bearer token.

    Its requests note in the `Answer` of their trace context when they are written, once there is a connection.

    Raises `InputError` where aiohttp is not installed, and for a key that no header can hold.
    """
    try:
        import aiohttp
    except ImportError:
        raise InputError("recording a server needs aiohttp: install simulator[observe]") from None
    if key and not key.isprintable():
        raise InputError("the key of the server holds a line break or the like: set its environment variable without")
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(_sent)
    async with aiohttp.ClientSession(
        trace_configs=[trace],
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        headers=headers,
        trust_env=False,
    ) as session:
        yield session


async def _sent(session: aiohttp.ClientSession, context: Any, headers: Any) -> None:
    context.trace_request_ctx.sent = perf_counter_ns()


async def ask(session: aiohttp.ClientSession, url: str, body: bytes) -> Answer:
    """Send one request and read its stream to the end. What goes wrong is told by `failure`, not raised."""
    import aiohttp

    answer, events = Answer(), EventReader()
    answer.sent = perf_counter_ns()
    try:
        async with session.post(url, data=body, allow_redirects=False, trace_request_ctx=answer) as response:
            if response.status != 200:
                answer.failure = await _refusal(response)
                return answer
            if response.content_type != "text/event-stream":
                answer.failure = f"the answer is {response.content_type}, not a stream of events"
                return answer
            async for received in response.content.iter_any():
                now = perf_counter_ns()
                for data in events.feed(received):
                    answer.take(data, now)
    except TimeoutError:
        answer.failure = f"timed out after {session.timeout.total:g} s"
    except aiohttp.ClientPayloadError:
        answer.failure = f"the stream was cut after {len(answer.stamps)} events"
    except aiohttp.ClientConnectorError as error:
        answer.failure = f"no connection: {_why(error.os_error)}"
    except (aiohttp.ClientError, OSError) as error:
        answer.failure = f"the connection failed: {' '.join(str(error).split()) or type(error).__name__}"
    if answer.failure is None and not answer.finished:
        answer.failure = f"the stream was cut after {len(answer.stamps)} events"
    if answer.failure is None and not answer.stamps:
        answer.failure = "the stream brought no text"
    return answer


def _why(error: OSError) -> str:
    """In the words of the system; asyncio puts its own in place of these, with the address."""
    if isinstance(error, ConnectionError) and error.errno is not None:
        return os.strerror(error.errno)
    return str(error.strerror or error)


async def _refusal(response: aiohttp.ClientResponse) -> str:
    if 300 <= response.status < 400:
        return f"HTTP {response.status}: the server redirects elsewhere, which is not followed"
    text = (await response.content.read(LONGEST_ERROR)).decode("utf-8", "replace")
    try:
        said = error_text(json.loads(text))
    except ValueError:
        said = error_text(text)
    return f"HTTP {response.status}: {said or response.reason}"
