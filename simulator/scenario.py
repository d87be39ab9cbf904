"""A whole experiment as one validated object: what is deployed, under which policies, with which load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from simulator.errors import InputError, unknown_name
from simulator.workloads.dtypes import dtype
from simulator.yaml_io import line_of, loads_yaml, read_text

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, protected_namespaces=())


class ParallelSpec(_Part):
    """Devices of one replica: tensor x data x pipeline of them; `expert` spreads experts over a stage."""

    tensor: Annotated[int, Field(ge=1, le=1024)] = 1
    pipeline: Annotated[int, Field(ge=1, le=256)] = 1
    data: Annotated[int, Field(ge=1, le=1024)] = 1
    expert: Annotated[int, Field(ge=1, le=1024)] = 1


class PrecisionSpec(_Part):
    """Number formats; `weights` None keeps the format that the checkpoint is published in."""

    weights: str | None = None
    activations: str | None = None
    kv_cache: str | None = None
    experts: str | None = None

    @model_validator(mode="after")
    def _known(self) -> PrecisionSpec:
        for name in ("weights", "activations", "kv_cache", "experts"):
            value = getattr(self, name)
            if value is not None:
                dtype(value)
        return self


class BatchingSpec(_Part):
    """The batching policy by name or `module:Class`, its options, and the bounds of one iteration."""

    policy: str = "vllm-v1"
    max_num_seqs: Annotated[int, Field(ge=1, le=1_000_000)] = 256
    max_num_batched_tokens: Annotated[int, Field(ge=1, le=100_000_000)] = 8192
    options: dict[str, Any] = {}

    @model_validator(mode="after")
    def _room_for_all(self) -> BatchingSpec:
        if self.policy == "vllm-v1" and self.max_num_batched_tokens < self.max_num_seqs:
            raise ValueError(
                f"max_num_batched_tokens {self.max_num_batched_tokens} is less than max_num_seqs {self.max_num_seqs}: "
                "raise it, since every decoding sequence takes one token"
            )
        return self


class KVCacheSpec(_Part):
    """The paged KV cache. `blocks` fixes its size as the engine's log states it; else it fills the memory.

    Of the blocks that vLLM reports, one is a placeholder that never holds a token.
    """

    block_size: Annotated[int, Field(ge=1, le=65536)] = 16
    memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.9
    blocks: Annotated[int, Field(ge=2, le=1_000_000_000)] | None = None
    prefix_caching: bool = True


class QueueSpec(_Part):
    """The discipline of each replica's queue by name or `module:Class`, and its options."""

    policy: str = "fcfs"
    options: dict[str, Any] = {}


class RouterSpec(_Part):
    """The router by name or `module:Class`, and its options."""

    policy: str = "round-robin"
    options: dict[str, Any] = {}


class LoadSpec(_Part):
    """The requests: a `trace` file or a `generator`, offered open-loop, or by `concurrency` clients.

    A generator is a mapping (arrivals, lengths, ...) or the name of a load of `simulator list workloads`.

    `sessions` is "times" (turns arrive at their times) or "wait" (not before the turn before has finished).
    """

    trace: str | None = None
    format: str | None = None
    on_error: Literal["stop", "skip"] = "stop"
    generator: dict[str, Any] | str | None = None
    limit: Count | None = None
    speed_up: Positive = 1.0
    concurrency: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    sessions: Literal["times", "wait"] = "times"

    @model_validator(mode="after")
    def _one_source(self) -> LoadSpec:
        if (self.trace is None) == (self.generator is None):
            raise ValueError("give either trace (a file) or generator (arrivals and lengths), and not both")
        return self


class ObjectiveSpec(_Part):
    """Latency objectives of a request, in milliseconds; goodput counts the requests that meet all given."""

    ttft_ms: Positive | None = None
    tpot_ms: Positive | None = None
    e2e_ms: Positive | None = None


class Scenario(_Part):
    """A serving experiment.

    `engine` says whose kernels and overheads run it, `calibration` may name a file of one's own for the device.
    """

    kind: Literal["serving"] = "serving"
    name: str = ""
    model: str
    device: str
    engine: str = "vllm"
    calibration: str | None = None
    node: str | None = None
    replicas: Annotated[int, Field(ge=1, le=100_000)] = 1
    parallel: ParallelSpec = ParallelSpec()
    precision: PrecisionSpec = PrecisionSpec()
    batching: BatchingSpec = BatchingSpec()
    kv_cache: KVCacheSpec = KVCacheSpec()
    queue: QueueSpec = QueueSpec()
    router: RouterSpec = RouterSpec()
    load: LoadSpec
    objectives: ObjectiveSpec = ObjectiveSpec(ttft_ms=1000.0, tpot_ms=50.0)
    price_per_device_hour: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    fast_forward: bool = True


def scenario_from(values: object, *, file: str | Path | None = None, text: str | None = None) -> Scenario:
    """Validate plain data. Raises `InputError` naming the first wrong field, its value and what is allowed."""
    if not isinstance(values, dict):
        raise InputError(f"a scenario is a mapping of fields, not {type(values).__name__}", file=file)
    try:
        return Scenario.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        keys = [k for k in problem["loc"] if isinstance(k, str | int)]
        line = line_of(text, keys) if text is not None else None
        raise InputError(_complaint(problem, keys), file=file, line=line) from None
    except InputError as error:
        raise InputError(error.message, file=file) from None


def load_scenario(path: str | Path, overrides: Sequence[str] = ()) -> Scenario:
    """Read a YAML scenario; relative paths in it are relative to the file. `overrides` are `key=value`."""
    text = read_text(path)
    values = loads_yaml(text, file=path)
    if isinstance(values, dict):
        _anchor(values, Path(path).parent)
        apply_overrides(values, overrides)
    return scenario_from(values, file=path, text=text)


def _anchor(values: dict[str, Any], folder: Path) -> None:
    load = values.get("load")
    if isinstance(load, dict) and isinstance(load.get("trace"), str) and not Path(load["trace"]).is_absolute():
        load["trace"] = str(folder / load["trace"])
    for key in ("model", "device"):
        value = values.get(key)
        if isinstance(value, str) and (folder / value).exists() and value.endswith((".json", ".yaml", ".yml")):
            values[key] = str(folder / value)


def apply_overrides(values: dict[str, Any], overrides: Sequence[str] | Mapping[str, Any]) -> None:
    """Lay settings over `values` in place: `key=value` texts (values in YAML), or a mapping of key to value.

    A key is a dotted path, or the last part of one if that is unique.
    """
    paths = field_paths()
    pairs = overrides.items() if isinstance(overrides, Mapping) else map(_parsed, overrides)
    for given, value in pairs:
        path = _resolve(given.strip().replace("-", "_"), paths)
        inner = values
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise InputError(f"setting {given}: {part} is not a mapping in this scenario")
        inner[path[-1]] = value


def _parsed(pair: str) -> tuple[str, object]:
    key, equals, raw = pair.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set {pair!r} is not key=value, for example --set max_num_seqs=128")
    return key, loads_yaml(raw, file=f"--set {key}")


def _resolve(key: str, paths: list[str]) -> list[str]:
    if key in paths or any(key.startswith(f"{p}.") for p in paths if p.endswith(("options", "generator"))):
        return key.split(".")
    ends = [p for p in paths if p.rsplit(".", 1)[-1] == key]
    if len(ends) == 1:
        return ends[0].split(".")
    if ends:
        raise InputError(f"setting {key} could be {' or '.join(ends)}: give the whole name")
    raise unknown_name("setting", key, paths)


def field_paths(part: type[BaseModel] = Scenario, prefix: str = "") -> list[str]:
    """Dotted names of all fields of a scenario."""
    found: list[str] = []
    for name, field in part.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += field_paths(kind, f"{prefix}{name}.")
        else:
            found.append(prefix + name)
    return found


def _complaint(problem: Any, keys: list[str | int]) -> str:
    """One line for one of pydantic's errors, in the words of the user's file."""
    name = ".".join(str(k) for k in keys) or "scenario"
    kind, value, context = problem["type"], problem.get("input"), problem.get("ctx", {})
    if kind == "extra_forbidden":
        inside = ".".join(str(k) for k in keys[:-1])
        return unknown_name("field", name, _names_inside(inside)).message
    if kind == "missing":
        return f"{name} is missing: add it, as in the scenarios that `simulator list scenarios` shows"
    if kind == "value_error":
        error = context.get("error")
        return f"{name}: {error.message if isinstance(error, InputError) else error}"
    message = str(problem["msg"]).removeprefix("Input ").removeprefix("Value error, ")
    return (
        f"{name} is {_shown(value)}, which {message}"
        if message.startswith(("should", "must"))
        else f"{name}: {message}"
    )


def _names_inside(prefix: str) -> list[str]:
    lead = f"{prefix}." if prefix else ""
    return sorted({lead + p[len(lead) :].split(".")[0] for p in field_paths() if p.startswith(lead)})


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
