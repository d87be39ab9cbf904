"""A whole experiment as one validated object: what is deployed, under which policies, with which load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from simulator.specs.adapters import AdaptersSpec
from simulator.specs.cache import KVCacheSpec
from simulator.specs.combining import refuse_together
from simulator.specs.control import AdmissionSpec, AutoscalingSpec, FailureSpec, MigrationSpec
from simulator.specs.experts import ExpertsSpec
from simulator.specs.feed_forward import FeedForwardSpec
from simulator.specs.finetuning import FinetuningSpec
from simulator.specs.layout import ParallelSpec, PrecisionSpec
from simulator.specs.load import LoadSpec, ObjectiveSpec
from simulator.specs.offload import AttentionOffloadSpec
from simulator.specs.part import Part
from simulator.specs.phases import DisaggregationSpec, PairingSpec, PartitionSpec
from simulator.specs.policies import BatchingSpec, ExecutionSpec, QueueSpec, RouterSpec
from simulator.specs.power import PowerSpec
from simulator.specs.prompt_model import PromptModelSpec
from simulator.specs.settings import lay_over
from simulator.specs.speculation import SpeculationSpec
from simulator.specs.validating import validated
from simulator.yaml_io import loads_yaml, read_text


class Scenario(Part):
    """A serving experiment. With `disaggregation` prompts are computed by a pool of their own.

    With `partition` they are computed on a part of the same devices, with `pairing` by one of two replicas in turn.

    `engine` says whose kernels and overheads run it, `calibration` may name a file of one's own for the device.
    `shared_prefix_tokens` tokens, with which every prompt of the load begins, are read once a decode step for all.
    """

    kind: Literal["serving"] = "serving"
    name: str = ""
    model: str
    """The model by name, or the path of a Hugging Face `config.json`."""
    device: str
    engine: str = "vllm"
    calibration: str | None = None
    node: str | None = None
    replicas: Annotated[int, Field(ge=1, le=100_000)] = 1
    """Copies of the model behind the router, those that decode where prompts are computed apart."""
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
    pairing: PairingSpec | None = None
    adapters: AdaptersSpec | None = None
    attention_offload: AttentionOffloadSpec | None = None
    feed_forward: FeedForwardSpec | None = None
    prompt_model: PromptModelSpec | None = None
    shared_prefix_tokens: Annotated[int, Field(ge=0, le=100_000_000)] = 0
    speculation: SpeculationSpec = SpeculationSpec()
    admission: AdmissionSpec = AdmissionSpec()
    autoscaling: AutoscalingSpec = AutoscalingSpec()
    failures: FailureSpec = FailureSpec()
    migration: MigrationSpec = MigrationSpec()
    power: PowerSpec | None = None
    finetuning: FinetuningSpec | None = None
    load: LoadSpec
    objectives: ObjectiveSpec = ObjectiveSpec(ttft_ms=1000.0, tpot_ms=50.0)
    price_per_device_hour: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    fast_forward: bool = True
    """Take steps that nothing can change as one event; the times are the same without."""

    @model_validator(mode="after")
    def _decoding(self) -> Scenario:
        if self.shared_prefix_tokens:
            refuse_together("shared_prefix_tokens", self, "speculation")
        if self.attention_offload is not None:
            refuse_together("attention_offload", self, "partition")
        if self.kv_cache.keep_share is not None:
            refuse_together("kv_cache.keep_share", self, "speculation", "attention_offload", "shared_prefix_tokens")
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
    """Lay settings over a scenario's plain values in place: `key=value` texts (values in YAML), or a mapping.

    A key is a dotted path, or the last part of one if that is unique among the shortest, parts that are usually
    left out set aside. Raises `InputError` for a setting that there is not.
    """
    lay_over(values, overrides, Scenario)
