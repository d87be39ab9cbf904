"""Federated training: a model, the clients that train it, and the server that gathers their updates."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from simulator.specs.part import Count, NotNegative, Part, Positive


class SpreadSpec(Part):
    """A lognormal quantity of the clients: its median and the deviation of its logarithm (0: all alike)."""

    median: Positive
    """The median, in the unit of the field."""
    deviation: Annotated[float, Field(ge=0, le=5)] = 0.0
    """Deviation of the logarithm."""


class ClientsSpec(Part):
    """`count` clients: their speed, links both ways with a latency, and the power of computing and of the radio."""

    count: Annotated[int, Field(ge=1, le=1_000_000)]
    gflop_per_s: SpreadSpec
    uplink_mbit_per_s: SpreadSpec
    downlink_mbit_per_s: SpreadSpec
    latency_ms: NotNegative = 50.0
    """Latency of a client's link, one way."""
    compute_w: NotNegative = 2.0
    """Power of a client that computes."""
    radio_w: NotNegative = 1.0
    """Power of a client that sends or receives."""


class FederatedModelSpec(Part):
    """The model: its parameters, and GFLOP of one local step over a client's batch, both passes."""

    parameters: Count
    """Parameters of the model."""
    step_gflop: Positive
    """Arithmetic of one local step."""
    download_bits: Positive = 32.0
    """Bits a parameter from the server to a client."""


class ServerSpec(Part):
    """How the server gathers updates, by name or `module:Class`, and its options."""

    policy: str = "synchronous"
    options: dict[str, Any] = Field(default_factory=dict)


class UploadSpec(Part):
    """What clients do to their updates before they send them, by name or `module:Class`, and its options."""

    policy: str = "dense"
    options: dict[str, Any] = Field(default_factory=dict)


class FederatedScenario(Part):
    """`hours` of federated training, `local_steps` between getting the model and sending an update."""

    kind: Literal["federated"]
    name: str = ""
    model: FederatedModelSpec
    clients: ClientsSpec
    local_steps: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    hours: Annotated[float, Field(gt=0, le=1e5)] = 24.0
    seed: Annotated[int, Field(ge=0)] = 0
    server: ServerSpec = ServerSpec()
    upload: UploadSpec = UploadSpec()
