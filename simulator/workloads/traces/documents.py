"""JSON documents that hold requests: vLLM benchmark results, ShareGPT conversations, prompts to be sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from simulator.errors import InputError
from simulator.workloads.traces.streams import blocks

MAX_BYTES = 1 << 30
CHARACTERS_PER_TOKEN = 4.0

Row = tuple[int, dict[str, Any]]


def document_rows(path: Path, name: str) -> list[Row]:
    """Rows under the project's own field names, each with the number of its line or entry.

    Requests without a recorded time all arrive at 0. Token counts of texts are estimated as characters / 4
    (OpenAI's rule of thumb for English), at least 1.
    """
    text = _read(path)
    if name == "vllm-custom":
        return _prompts(text, path)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON (cut off?): {error}", file=path) from None
    return _conversations(document, path) if name == "sharegpt" else _benchmark(document, path)


def _read(path: Path) -> str:
    data = bytearray()
    for block in blocks(path):
        data += block.data
        if len(data) > MAX_BYTES:
            raise InputError("a JSON document over 1 GiB: convert it to JSONL first", file=path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError("not UTF-8 text: convert the file", file=path) from None


def _benchmark(document: object, path: Path) -> list[Row]:
    if not isinstance(document, dict):
        raise InputError("expected a JSON object, the result of vLLM's benchmark_serving", file=path)
    prompts, outputs = document.get("input_lens"), document.get("output_lens")
    if not isinstance(prompts, list) or not isinstance(outputs, list) or len(prompts) != len(outputs):
        raise InputError("expected lists 'input_lens' and 'output_lens' of equal length", file=path)
    starts = document.get("start_times")
    if not isinstance(starts, list) or len(starts) != len(prompts):
        starts = [0.0] * len(prompts)
    waits = document.get("ttfts")
    if not isinstance(waits, list) or len(waits) != len(prompts):
        waits = [None] * len(prompts)
    numbers = [s for s in starts if isinstance(s, int | float)]
    origin = min(numbers, default=0.0)
    rows = [
        (
            i + 1,
            {
                "arrival_s": start - origin if isinstance(start, int | float) else start,
                "prompt_tokens": prompt,
                "output_tokens": output,
                "ttft_s": wait,
            },
        )
        for i, (start, prompt, output, wait) in enumerate(zip(starts, prompts, outputs, waits, strict=True))
    ]
    rows.sort(key=lambda row: row[1]["arrival_s"] if isinstance(row[1]["arrival_s"], int | float) else 0.0)
    return rows


def _conversations(document: object, path: Path) -> list[Row]:
    if not isinstance(document, list):
        raise InputError("expected a JSON array of conversations", file=path)
    rows: list[Row] = []
    for i, entry in enumerate(document, 1):
        turns = entry.get("conversations", entry.get("conversation")) if isinstance(entry, dict) else None
        if not isinstance(turns, list):
            raise InputError(f"entry {i} has no list 'conversations'", file=path)
        texts = [str(turn.get("value", "")) for turn in turns if isinstance(turn, dict)]
        if len(texts) >= 2:
            rows.append((i, _row(texts[0], _tokens(texts[1]))))
    return rows


def _prompts(text: str, path: Path) -> list[Row]:
    rows: list[Row] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            raise InputError(f"not a JSON object (cut off?): {line[:60]!r}", file=path, line=number) from None
        if not isinstance(entry, dict) or not isinstance(entry.get("prompt"), str):
            raise InputError("expected a JSON object with 'prompt' and 'output_tokens'", file=path, line=number)
        rows.append((number, _row(entry["prompt"], entry.get("output_tokens"))))
    return rows


def _row(prompt: str, output: object) -> dict[str, Any]:
    return {"arrival_s": 0.0, "prompt_tokens": _tokens(prompt), "output_tokens": output}


def _tokens(text: str) -> int:
    return max(1, round(len(text) / CHARACTERS_PER_TOKEN))
