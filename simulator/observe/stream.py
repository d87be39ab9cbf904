"""The stream of one answer: server-sent events, and what their data says about tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

DONE = b"[DONE]"
# No answer has more; a server that counts more is not to be believed.
MOST_TOKENS = 10_000_000


class EventReader:
    """Splits a byte stream into the data of server-sent events, wherever the bytes are cut."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, received: bytes) -> list[bytes]:
        """Data of the events that end in what was received."""
        *lines, self._rest = (self._rest + received).split(b"\n")
        found: list[bytes] = []
        for raw in lines:
            line = raw.rstrip(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                found.append(b"\n".join(self._data))
                self._data = []
        return found


@dataclass(slots=True)
class Answer:
    """What came of one request; times are readings of `perf_counter_ns`.

    `sent` is when the request was written to its connection, or was to be where there came to be none.
    `stamps` has one time for each event that brought text, `counts` the output tokens that the server had counted by
    then (0 where it did not say). Token totals are those of `usage`, None without. `failure` is None for success.
    """

    sent: int = 0
    stamps: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    finished: bool = False
    failure: str | None = None

    def take(self, data: bytes, now: int) -> None:
        """Note one event that was received at `now`; none after one that failed."""
        if self.failure is not None:
            return
        if data == DONE:
            self.finished = True
            return
        try:
            event = json.loads(data)
            if event.get("error") is not None:
                self.failure = f"the server said in its stream: {error_text(event)}"
            else:
                self._note(event, now)
        except (ValueError, TypeError, AttributeError, RecursionError):
            self.failure = f"an event is not what the interface sends: {data[:60].decode('utf-8', 'replace')}"

    def _note(self, event: dict[str, Any], now: int) -> None:
        counted = self._usage(event.get("usage"))
        for choice in event.get("choices") or ():
            if _text_of(choice):
                self.stamps.append(now)
                self.counts.append(counted)
            self.finished |= choice.get("finish_reason") is not None

    def _usage(self, usage: Any) -> int:
        if not isinstance(usage, dict):
            return 0
        self.prompt_tokens = _count(usage.get("prompt_tokens", self.prompt_tokens))
        self.output_tokens = _count(usage.get("completion_tokens", self.output_tokens))
        return self.output_tokens or 0


def _count(tokens: Any) -> int | None:
    """Tokens that a server has counted, None for none. Raises `ValueError` for what is no such number."""
    if tokens is None:
        return None
    if isinstance(tokens, bool) or not isinstance(tokens, int | float) or not 0 <= tokens <= MOST_TOKENS:
        raise ValueError(f"{tokens} is no number of tokens")
    return int(tokens)


def _text_of(choice: dict[str, Any]) -> str:
    """Text of a choice, of a completion or of a chat; a chat's first event may have a role alone."""
    delta = choice.get("delta") or {}
    parts = (choice.get("text"), delta.get("content"), delta.get("reasoning_content"), delta.get("reasoning"))
    return next((part for part in parts if part), "")


def error_text(answer: Any) -> str:
    """What a server's error message says, in one line of at most 200 characters."""
    found = answer
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    return " ".join(str(found).split())[:200]
