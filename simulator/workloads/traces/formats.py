"""Known trace layouts, each as a few facts: which field holds what, in which unit."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from simulator.errors import InputError, unknown_name
from simulator.workloads.traces.streams import blocks, container


@dataclass(frozen=True, slots=True)
class Format:
    """One layout. `kind` is "csv" or "jsonl"; Parquet files use the project's own field names.

    `arrival_unit` is "s", "ms" or "datetime" (then counted from the first row). `hashes` names the field of
    prefix-block ids, of `block_tokens` tokens each unless a row's own `block_tokens` says otherwise. A row
    whose output is zero is damaged, or with `zero_output_fails` a failed request of the recorded service.
    """

    name: str
    kind: str
    arrival: str
    prompt: str
    output: str
    arrival_unit: str = "s"
    hashes: str | None = None
    block_tokens: int = 16
    identity: str | None = None
    whole: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, str] = field(default_factory=dict)
    zero_output_fails: bool = False
    source: str = ""

    @property
    def required(self) -> tuple[str, str, str]:
        return self.arrival, self.prompt, self.output


_MEASURED = {"ttft_s": "ttft_s", "e2e_s": "e2e_s", "queue_wait_s": "queue_wait_s"}
_OWN_WHOLE = {name: name for name in ("session", "priority", "tenant", "adapter", "document_tokens")}
_OWN_SECONDS = {"think_s": "think_s", **_MEASURED}

FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format(
            "azure", "csv", "TIMESTAMP", "ContextTokens", "GeneratedTokens", "datetime",
            source="Azure Public Dataset, LLM inference traces 2023 and 2024",
        ),
        Format(
            "burstgpt", "csv", "Timestamp", "Request tokens", "Response tokens", zero_output_fails=True,
            source="BurstGPT, arXiv:2401.17644",
        ),
        Format(
            "mooncake", "jsonl", "timestamp", "input_length", "output_length", "ms", "hash_ids", 512,
            source="Mooncake, arXiv:2407.00079",
        ),
        Format(
            "vllm-run", "jsonl", "arrival_s", "input_tokens", "output_tokens", hashes="block_hashes",
            identity="request_id", seconds=_MEASURED, source="recorded engine runs, one row a request",
        ),
        Format(
            "csv", "csv", "arrival_s", "prompt_tokens", "output_tokens", hashes="block_hashes",
            identity="request_id", whole=_OWN_WHOLE, seconds=_OWN_SECONDS, source="this project",
        ),
        Format(
            "jsonl", "jsonl", "arrival_s", "prompt_tokens", "output_tokens", hashes="block_hashes",
            identity="request_id", whole=_OWN_WHOLE, seconds=_OWN_SECONDS, source="this project",
        ),
    )
}  # fmt: skip
DOCUMENTS = {
    "vllm-benchmark": "result file of vLLM's benchmark_serving (input_lens, output_lens, start_times, ttfts)",
    "sharegpt": "ShareGPT-style JSON array of conversations; tokens estimated as characters / 4",
    "vllm-custom": "JSONL of prompts with output_tokens; prompt tokens estimated as characters / 4",
}
NAMES = (*FORMATS, "parquet", *DOCUMENTS)


def sniff(path: Path, given: str | None) -> str:
    """The format of a file: as `given`, or by its first line. Raises `InputError` if none fits."""
    if given is not None:
        if given not in NAMES:
            raise unknown_name("trace format", given, NAMES)
        return given
    if container(path) == "parquet":
        return "parquet"
    first = next(iter(blocks(path, size=1 << 16)), None)
    text = "" if first is None else first.data.decode("utf-8", "replace").lstrip("\ufeff \n\r\t")
    line = text.split("\n", 1)[0].strip()
    if text.startswith(("{", "[")):
        return _sniff_json(text, line, path)
    columns = [c.strip().strip('"') for c in line.split(",")]
    for known in FORMATS.values():
        if known.kind == "csv" and set(known.required) <= set(columns):
            return known.name
    raise InputError(
        f"not a known trace: its header is {line[:80]!r}, expected the columns of one of "
        + "; ".join(f"{f.name} ({', '.join(f.required)})" for f in FORMATS.values() if f.kind == "csv"),
        file=path,
        line=1,
    )


def _sniff_json(text: str, line: str, path: Path) -> str:
    if text.startswith("["):
        return "sharegpt"
    if '"input_lens"' in text or '"output_lens"' in text or line == "{":
        return "vllm-benchmark"
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise InputError(f"not a JSON object: {line[:60]!r}", file=path, line=1) from None
    for known in FORMATS.values():
        if known.kind == "jsonl" and set(known.required) <= set(row):
            return known.name
    if "prompt" in row:
        return "vllm-custom"
    fields = ", ".join(sorted(map(str, row)))[:80]
    raise InputError(
        f"not a known trace: its first row has the fields {fields}, expected those of one of "
        + "; ".join(f"{f.name} ({', '.join(f.required)})" for f in FORMATS.values() if f.kind == "jsonl"),
        file=path,
        line=1,
    )
