"""A whole experiment as one validated object: what is deployed, under which policies, with which load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from simulator.control_spec import AdmissionSpec, AutoscalingSpec, FailureSpec, MigrationSpec
from simulator.errors import InputError, refuse_beside, unknown_name
from simulator.expert_spec import ExpertsSpec
from simulator.offload_spec import AttentionOffloadSpec
from simulator.spec import Count, Positive
from simulator.spec import Part as _Part
from simulator.workloads.dtypes import dtype
from simulator.yaml_io import line_of, loads_yaml, read_text

Model = TypeVar("Model", bound=BaseModel)


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
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _room_for_all(self) -> BatchingSpec:
        if self.policy == "vllm-v1" and self.max_num_batched_tokens < self.max_num_seqs:
            raise ValueError(
                f"max_num_batched_tokens {self.max_num_batched_tokens} is less than max_num_seqs {self.max_num_seqs}: "
                "raise it, since every decoding sequence takes one token"
            )
        return self


class EncodingSpec(_Part):
    """A compressed form of stored keys and values: how many times smaller, and how fast it is decoded.

    `decode_gb_s` counts what comes out, in GB/s.
    """

    ratio: Annotated[float, Field(ge=1, le=1000)]
    decode_gb_s: Positive = 100.0


class TierSpec(_Part):
    """A place below device memory for cached keys and values, as one replica sees it, or all if `shared`.

    "host", "nvme" and "remote" have usual bandwidths and latencies, "host" also a capacity; "remote" is shared.
    `eviction` is a policy by name or `module:Class`. `compression` lists encodings, finest first, all of which are
    stored; reads of about `piece_tokens` tokens each take the finest that keeps `deadline_ms`, or the quickest.
    """

    name: Annotated[str, Field(min_length=1, max_length=60)]
    capacity_gb: Positive | None = None
    bandwidth_gb_s: Positive | None = None
    write_bandwidth_gb_s: Positive | None = None
    latency_us: Annotated[float, Field(ge=0, le=1e9)] | None = None
    eviction: str = "lru"
    compression: tuple[EncodingSpec, ...] = ()
    piece_tokens: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1536
    deadline_ms: Positive | None = None
    write_buffer_gb: Positive = 4.0
    shared: bool | None = None


class KVCacheSpec(_Part):
    """The paged KV cache. `blocks` fixes its size as the engine's log states it; else it fills the memory.

    Of the blocks that vLLM reports, one is a placeholder that never holds a token. What is evicted goes down the
    `tiers`, nearest first, and is loaded again for requests that wait; with `layerwise`, while they are computed.
    `reuse` is the policy (by name or `module:Class`) that says what of a request is looked for there. With
    `keep_share`, a sequence that decodes keeps that share of its prompt's tokens, by score, and frees other blocks.
    """

    block_size: Annotated[int, Field(ge=1, le=65536)] = 16
    memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.9
    blocks: Annotated[int, Field(ge=2, le=1_000_000_000)] | None = None
    prefix_caching: bool = True
    keep_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    tiers: tuple[TierSpec, ...] = ()
    reuse: str = "prefix"
    reuse_options: dict[str, Any] = Field(default_factory=dict)
    layerwise: bool = False
    loading: Literal["always", "when-faster"] = "always"

    @model_validator(mode="after")
    def _tiers_of_use(self) -> KVCacheSpec:
        names = [tier.name for tier in self.tiers]
        if len(set(names)) < len(names):
            raise ValueError("tiers: two have the same name: give each its own")
        if self.keep_share is not None and self.prefix_caching:
            raise ValueError("keep_share frees blocks that prefixes share: set prefix_caching to false")
        if names and not self.prefix_caching:
            raise ValueError("tiers need prefix_caching: set it to true")
        if not names and self.reuse != "prefix":
            raise ValueError(f"reuse {self.reuse} needs tiers: add for example tiers: [{{name: host}}]")
        return self


class ExecutionSpec(_Part):
    """How operators of one iteration share a device, by name or `module:Class`, and its options."""

    policy: str = "sequential"
    options: dict[str, Any] = Field(default_factory=dict)


class QueueSpec(_Part):
    """The discipline of each replica's queue by name or `module:Class`, and its options."""

    policy: str = "fcfs"
    options: dict[str, Any] = Field(default_factory=dict)


class RouterSpec(_Part):
    """The router by name or `module:Class`, and its options."""

    policy: str = "round-robin"
    options: dict[str, Any] = Field(default_factory=dict)


class TransferSpec(_Part):
    """How the KV cache goes from prefill to decode replicas.

    `link` names the link of one device (None: the node's own where both replicas fit into one node, else its network),
    `layerwise` lets each layer's cache leave as soon as it is computed, `first_token` says when the client sees the
    first token: when it is computed ("prefill") or when the cache has landed ("transfer").
    """

    link: str | None = None
    layerwise: bool = False
    first_token: Literal["prefill", "transfer"] = "prefill"


class DisaggregationSpec(_Part):
    """A pool of `replicas` that only compute prompts; the scenario's own replicas then only decode.

    What is not given is as in the decode pool. `router` chooses the decode replica.
    """

    replicas: Annotated[int, Field(ge=1, le=100_000)] = 1
    device: str | None = None
    node: str | None = None
    parallel: ParallelSpec | None = None
    batching: BatchingSpec | None = None
    calibration: str | None = None
    price_per_device_hour: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    transfer: TransferSpec = TransferSpec()
    router: RouterSpec = RouterSpec(policy="least-outstanding")


class DraftSpec(_Part):
    """What writes drafts: "model", "mtp", "early-exit" or "n-gram", or `module:Class`, and its options."""

    source: str = "n-gram"
    options: dict[str, Any] = Field(default_factory=dict)


class AcceptanceSpec(_Part):
    """How likely a draft token is accepted: "constant", "beta" (by request) or "curve" (by depth), and its options."""

    law: str = "constant"
    options: dict[str, Any] = Field(default_factory=dict)


class SpeculationSpec(_Part):
    """Speculative decoding: the policy for draft lengths, what writes drafts, and how they are accepted.

    With `asynchronous`, the next drafts are written while these are verified, on devices of the drafter's own.
    Iterations are then simulated one by one, whatever `fast_forward` says.
    """

    policy: str = "none"
    options: dict[str, Any] = Field(default_factory=dict)
    draft: DraftSpec = DraftSpec()
    acceptance: AcceptanceSpec = AcceptanceSpec()
    asynchronous: bool = False


class PartitionSpec(_Part):
    """Prompts and decoding side by side on the same devices, over one KV cache and one copy of the weights.

    Prompts get `prefill_units` of each device's units, decoding the rest. `saturating_units` of the units draw the
    whole memory bandwidth, and prompts draw `prefill_traffic` of it while decoding goes on: both are shares, fixed
    for the run. Iterations are then simulated one by one.
    """

    prefill_units: Annotated[float, Field(gt=0, lt=1)] = 0.5
    saturating_units: Annotated[float, Field(gt=0, le=1)] = 0.5
    prefill_traffic: Annotated[float, Field(ge=0, lt=1)] = 0.2
    batching: BatchingSpec | None = None


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
    """A serving experiment. With `disaggregation` prompts are computed by a pool of their own.

    With `partition` they are computed on a part of the same devices.

    `engine` says whose kernels and overheads run it, `calibration` may name a file of one's own for the device.
    `shared_prefix_tokens` tokens, with which every prompt of the load begins, are read once a decode step for all.
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
    experts: ExpertsSpec = ExpertsSpec()
    batching: BatchingSpec = BatchingSpec()
    kv_cache: KVCacheSpec = KVCacheSpec()
    queue: QueueSpec = QueueSpec()
    router: RouterSpec = RouterSpec()
    execution: ExecutionSpec = ExecutionSpec()
    disaggregation: DisaggregationSpec | None = None
    partition: PartitionSpec | None = None
    attention_offload: AttentionOffloadSpec | None = None
    shared_prefix_tokens: Annotated[int, Field(ge=0, le=100_000_000)] = 0
    speculation: SpeculationSpec = SpeculationSpec()
    admission: AdmissionSpec = AdmissionSpec()
    autoscaling: AutoscalingSpec = AutoscalingSpec()
    failures: FailureSpec = FailureSpec()
    migration: MigrationSpec = MigrationSpec()
    load: LoadSpec
    objectives: ObjectiveSpec = ObjectiveSpec(ttft_ms=1000.0, tpot_ms=50.0)
    price_per_device_hour: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    fast_forward: bool = True

    @model_validator(mode="after")
    def _decoding(self) -> Scenario:
        speculates = self.speculation.policy != "none"
        if self.shared_prefix_tokens:
            refuse_beside("shared_prefix_tokens", {"speculation": speculates})
        if self.attention_offload is not None:
            refuse_beside("attention_offload", {"partition": self.partition is not None})
        if self.kv_cache.keep_share is not None:
            others = {
                "speculation": speculates,
                "attention_offload": self.attention_offload is not None,
                "shared_prefix_tokens": self.shared_prefix_tokens > 0,
            }
            refuse_beside("kv_cache.keep_share", others)
        return self

    @model_validator(mode="after")
    def _fleet(self) -> Scenario:
        if self.apart and (self.autoscaling.policy != "fixed" or self.failures.any):
            raise ValueError(
                "autoscaling and failures act on one pool of replicas: leave out disaggregation and partition, or them"
            )
        least, most = self.autoscaling.min_replicas, self.autoscaling.max_replicas or self.replicas
        if not least <= self.replicas <= most:
            raise ValueError(f"replicas {self.replicas} is not within autoscaling's {least} to {most}: change either")
        for outage in self.failures.outages:
            if max(outage.replicas) >= most:
                raise ValueError(f"failures.outages: replica {max(outage.replicas)} is not among the {most}, from 0")
        return self

    @model_validator(mode="after")
    def _apart_in_one_way(self) -> Scenario:
        if self.disaggregation is not None and self.partition is not None:
            raise ValueError("give disaggregation (devices of their own for prompts) or partition, not both")
        return self

    @property
    def apart(self) -> bool:
        """Whether prompts are computed apart from decoding."""
        return self.disaggregation is not None or self.partition is not None


def scenario_from(values: object, *, file: str | Path | None = None, text: str | None = None) -> Scenario:
    """Validate plain data. Raises `InputError` naming the first wrong field, its value and what is allowed."""
    return validated(Scenario, values, "a scenario", file=file, text=text)


def validated(
    kind: type[Model], values: object, what: str, *, file: str | Path | None = None, text: str | None = None
) -> Model:
    """Plain data as a model of this kind; errors as for `scenario_from`."""
    if not isinstance(values, dict):
        raise InputError(f"{what} is a mapping of fields, not {type(values).__name__}", file=file)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        keys = [k for k in problem["loc"] if isinstance(k, str | int)]
        line = line_of(text, keys) if text is not None else None
        raise InputError(_complaint(problem, keys, kind), file=file, line=line) from None
    except InputError as error:
        raise InputError(error.message, file=file) from None


def load_scenario(path: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Scenario:
    """Read a YAML scenario; relative paths in it are relative to the file. `overrides` as in `apply_overrides`."""
    text = read_text(path)
    values = loads_yaml(text, file=path)
    if isinstance(values, dict):
        anchor(values, Path(path).parent)
        apply_overrides(values, overrides)
    return scenario_from(values, file=path, text=text)


def anchor(values: dict[str, Any], folder: Path) -> None:
    """Make relative paths of files in a scenario's plain values relative to `folder`, in place."""
    load = values.get("load")
    if isinstance(load, dict) and isinstance(load.get("trace"), str) and not Path(load["trace"]).is_absolute():
        load["trace"] = str(folder / load["trace"])
    for key in ("model", "device"):
        value = values.get(key)
        if isinstance(value, str) and (folder / value).exists() and value.endswith((".json", ".yaml", ".yml")):
            values[key] = str(folder / value)


def apply_overrides(values: dict[str, Any], overrides: Sequence[str] | Mapping[str, Any]) -> None:
    """Lay settings over `values` in place: `key=value` texts (values in YAML), or a mapping of key to value.

    A key is a dotted path, or the last part of one if that is unique among the shortest, parts that are usually
    left out set aside.
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
    if (
        key in paths
        or any(p.startswith(f"{key}.") for p in paths)
        or any(key.startswith(f"{p}.") for p in paths if p.endswith(("options", "generator")))
    ):
        return key.split(".")
    ends = [p for p in paths if p.rsplit(".", 1)[-1] == key]
    ends = [p for p in ends if Scenario.model_fields[p.split(".")[0]].default is not None] or ends
    least = min((p.count(".") for p in ends), default=0)
    ends = [p for p in ends if p.count(".") == least]
    if len(ends) == 1:
        return ends[0].split(".")
    if ends:
        raise InputError(f"setting {key} could be {' or '.join(ends)}: give the whole name")
    raise unknown_name("setting", key, paths)


def field_paths(part: type[BaseModel] = Scenario, prefix: str = "") -> list[str]:
    """Dotted names of all fields of a scenario."""
    found: list[str] = []
    for name, field in part.model_fields.items():
        kind = next((a for a in get_args(field.annotation) if a is not type(None)), field.annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += field_paths(kind, f"{prefix}{name}.")
        else:
            found.append(prefix + name)
    return found


def _complaint(problem: Any, keys: list[str | int], whole: type[BaseModel]) -> str:
    """One line for one of pydantic's errors, in the words of the user's file."""
    name = ".".join(str(k) for k in keys) or "scenario"
    kind, value, context = problem["type"], problem.get("input"), problem.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown_name("field", name, _names_inside(keys, whole)).message
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


def _names_inside(keys: Sequence[str | int], whole: type[BaseModel]) -> list[str]:
    """Names of the fields beside the one that `keys` lead to, as the user writes them."""
    part = whole
    for key in keys[:-1]:
        if isinstance(key, str) and key in part.model_fields:
            part = next(_models_in(part.model_fields[key].annotation), part)
    lead = "".join(f"{key}." for key in keys[:-1])
    return sorted(lead + name for name in part.model_fields)


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
