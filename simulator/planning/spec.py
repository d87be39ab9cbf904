"""A planning question as one validated object: the load, the objectives, and what may be deployed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from simulator.hardware.device import device
from simulator.scenario import anchor
from simulator.specs.load import LoadSpec
from simulator.specs.part import Fields
from simulator.specs.validating import validated
from simulator.yaml_io import loads_yaml, read_text

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1)]


class Percentiles(Fields):
    """Upper bounds of the mean and of percentiles over requests, in milliseconds."""

    mean: Positive | None = None
    """Bound of the mean, ms."""
    p50: Positive | None = None
    """Bound of the median, ms."""
    p90: Positive | None = None
    """Bound of the 90th percentile, ms."""
    p95: Positive | None = None
    """Bound of the 95th percentile, ms."""
    p99: Positive | None = None
    """Bound of the 99th percentile, ms."""


class Goodput(Fields):
    """At least `share` of the requests meet every bound given, in milliseconds a request."""

    share: Share
    ttft_ms: Positive | None = None
    """Most time to a request's first token."""
    tpot_ms: Positive | None = None
    """Most time per output token after the first."""
    e2e_ms: Positive | None = None
    """Most time from arrival to the last token."""

    @model_validator(mode="after")
    def _some_bound(self) -> Goodput:
        if self.ttft_ms is None and self.tpot_ms is None and self.e2e_ms is None:
            raise ValueError("give ttft_ms, tpot_ms or e2e_ms, which a request has to meet")
        return self


class Latencies(Fields):
    """Objectives of a group of requests."""

    ttft_ms: Percentiles = Percentiles()
    tpot_ms: Percentiles = Percentiles()
    e2e_ms: Percentiles = Percentiles()
    goodput: Goodput | None = None


class RequestClass(Latencies):
    """Objectives of the requests of one priority or one tenant, where the trace has such a column."""

    priority: int | None = None
    """The priority of the requests that these are objectives of."""
    tenant: int | None = None
    """The tenant whose requests these are objectives of."""

    @model_validator(mode="after")
    def _one_column(self) -> RequestClass:
        if (self.priority is None) == (self.tenant is None):
            raise ValueError("give either priority or tenant, which says whose objectives these are")
        return self


class Availability(Fields):
    """Spare replicas so that enough of them are up with probability `target`, each being up with `replica`."""

    replica: Annotated[float, Field(gt=0, lt=1)]
    target: Annotated[float, Field(gt=0, lt=1)]


class Objectives(Latencies):
    """Objectives of all requests, of classes of them, and of the fleet."""

    classes: list[RequestClass] = Field(default=[])
    availability: Availability | None = None

    @model_validator(mode="after")
    def _some(self) -> Objectives:
        groups: list[Latencies] = [self, *self.classes]
        if not any(_given(group) for group in groups):
            raise ValueError("no latency objective: give one, for example ttft_ms: {p99: 1000}")
        return self


def _given(group: Latencies) -> bool:
    bounds = (group.ttft_ms, group.tpot_ms, group.e2e_ms)
    return group.goodput is not None or any(v is not None for b in bounds for v in b.model_dump().values())


class DeviceChoice(Fields):
    """A device that may be deployed, its price in US dollars an hour, its node, and how many there are."""

    device: str
    price_per_hour: Price | None = None
    """US dollars an hour of one device; the device file's price if not given."""
    node: str | None = None
    max_devices: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """How many of them there are."""

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return {"device": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _priced(self) -> DeviceChoice:
        if self.price is None:
            raise ValueError(f"no price is known for {self.device}: add price_per_hour")
        return self

    @property
    def price(self) -> float | None:
        """US dollars a device-hour: the one given, else the device file's."""
        return device(self.device).price if self.price_per_hour is None else self.price_per_hour


class PlanSpec(Fields):
    """A planning question.

    The candidates are every device with every layout (a mapping of scenario fields, set together) and every
    combination of the values in `vary` (a mapping of a scenario field to its values), over `fixed` fields;
    fields are named as for `--set`. The number of replicas is always free; a layout with `disaggregation.replicas`
    (and `replicas` for decoding) gives the ratio of the pools, of which as many are used as are needed. `growth`
    multiplies the load's rate.
    `front_within` is how many times the cheapest cost the Pareto front is followed.
    """

    kind: Literal["planning"] = "planning"
    name: str = ""
    model: str
    """The model by name, or the path of a Hugging Face `config.json`."""
    load: LoadSpec
    growth: Positive = 1.0
    objectives: Objectives
    devices: Annotated[list[DeviceChoice], Field(min_length=1)]
    layouts: Annotated[list[dict[str, Any]], Field(min_length=1)] = Field(default=[{}])
    """Ways to lay out a replica: mappings of scenario fields, each tried on every device."""
    vary: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default={})
    fixed: dict[str, Any] = Field(default={})
    max_replicas: Annotated[int, Field(ge=1, le=100_000)] = 64
    """Replicas that a deployment may have."""
    energy_price_per_kwh: Price = 0.0
    """US dollars a kilowatt-hour, added to the price of devices."""
    front: list[Literal["ttft_p99", "tpot_p99", "e2e_p99", "energy"]] = Field(default=["e2e_p99", "energy"])
    """Figures that the Pareto front trades against cost."""
    front_within: Annotated[float, Field(ge=1, le=1000)] = 1.2
    exhaustive_up_to: Annotated[int, Field(ge=0, le=10_000_000)] = 4000
    """Spaces of up to so many candidates are searched whole, larger ones by Optuna."""
    trials: Annotated[int, Field(ge=1, le=10_000_000)] = 600
    """Candidates that are looked at in a space too large to search whole."""
    top: Annotated[int, Field(ge=1, le=100)] = 5
    """Deployments that are explained in full."""
    uncertainty: Annotated[int, Field(ge=0, le=1000)] = 0
    """Replications behind the intervals of the deployments that are explained; 0 for none."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0

    @model_validator(mode="after")
    def _free_replicas(self) -> PlanSpec:
        for fields in (*self.layouts, self.vary, self.fixed):
            for key in fields:
                apart = any(k.startswith("disaggregation.") for k in fields)
                if key.replace("-", "_") == "replicas" and not apart:
                    raise ValueError("replicas is what planning finds: leave it out, and bound it by max_replicas")
        if self.growth != 1.0 and self.load.concurrency is not None:
            raise ValueError("growth multiplies arrival rates, and a closed loop has none: raise load.concurrency")
        if self.uncertainty == 1:
            raise ValueError("uncertainty is 1: give 0, or 2 or more replications")
        return self


def plan_from(values: object, *, file: str | Path | None = None, text: str | None = None) -> PlanSpec:
    """Validate plain data. Raises `InputError` naming the first wrong field, its value and what is allowed."""
    return validated(PlanSpec, values, "a planning specification", file=file, text=text)


def load_plan(path: str | Path, changes: Mapping[str, Any] | None = None) -> PlanSpec:
    """Read a YAML planning specification; relative paths in it are relative to the file."""
    text = read_text(path)
    values = loads_yaml(text, file=path)
    if isinstance(values, dict):
        folder = Path(path).parent
        anchor(values, folder)
        devices = values.get("devices")
        if isinstance(devices, list):
            values["devices"] = [{"device": d} if isinstance(d, str) else d for d in devices]
            for choice in values["devices"]:
                if isinstance(choice, dict):
                    anchor(choice, folder)
        values |= changes or {}
    return plan_from(values, file=path, text=text)
