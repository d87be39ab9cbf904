"""How replicas exchange weights and gradients: what is sharded, overlapped, compressed, and in which format."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.errors import InputError, refuse_beside
from simulator.policies.compression import NO_COMPRESSION, Compression
from simulator.policies.tensor_overlap import SERIAL, TensorOverlap
from simulator.workloads.dtypes import DType


@dataclass(frozen=True, slots=True)
class Shards:
    """Over how many replicas, next to one another, each state is split; `secondary` that of the backward pass's copy.

    ZeRO (arXiv:1910.02054) splits over all replicas; ZeRO++ (arXiv:2306.10209) keeps a second copy of the weights split
    over a node; hybrid sharding (PyTorch FSDP, arXiv:2304.11277) splits everything over a node. `secondary` None:
    backward passes gather what forward passes do.
    """

    weights: int = 1
    gradients: int = 1
    optimizer: int = 1
    secondary: int | None = None

    @property
    def backward(self) -> int:
        """Over how many replicas the weights are split that backward passes gather."""
        return self.secondary or self.weights

    def check(self, replicas: int) -> None:
        """Raise `InputError` unless weights are split no finer than gradients, those no finer than optimiser states."""
        for inner, outer, name in (
            (self.weights, self.optimizer, "optimizer"),
            (self.gradients, self.optimizer, "optimizer"),
            (self.optimizer, replicas, "data"),
        ):
            if outer % inner:
                raise InputError(f"communication.shards: {inner} does not divide {outer} ({name}): choose divisors")
        if self.secondary is not None and self.weights % self.secondary:
            raise InputError(
                f"communication.shards: secondary {self.secondary} does not divide weights {self.weights}: "
                "choose a divisor"
            )


@dataclass(frozen=True, slots=True)
class Transport:
    """Formats on the links, None as they are: gathered weights, those of the second copy, reduced gradients.

    Quantised gradients are summed over `hop` neighbours first, and then over the rest (ZeRO++, section 3.3).
    """

    weights: DType | None = None
    secondary: DType | None = None
    gradients: DType | None = None
    hop: int = 1


@dataclass(frozen=True, slots=True)
class LocalSteps:
    """So many `steps` that every replica trains alone, after which weights are averaged.

    `overlapped`: the average of a round is formed beside the next one, and applied a round late (CO2).
    """

    steps: int
    overlapped: bool = False


@dataclass(frozen=True, slots=True)
class Communication:
    """Exchange between replicas.

    `gradient_bucket` and `weight_bucket` are bytes: gradients are reduced in such buckets beside the last backward
    passes, updated weights gathered beside the next forward passes; None: all at the end. `prefetch` layers' weights
    are gathered ahead where they are sharded. The kernels of collectives take `units` of the device's units while
    they run. `tensor` says how products and the collectives of tensor parallelism overlap. With `local`
    steps gradients are not reduced at all.
    """

    gradient_bucket: float | None = None
    weight_bucket: float | None = None
    prefetch: int = 1
    units: float = 16.0
    shards: Shards | None = None
    transport: Transport = Transport()
    compression: Compression = NO_COMPRESSION
    tensor: TensorOverlap = SERIAL
    local: LocalSteps | None = None

    def shards_of(self, zero: int, replicas: int) -> Shards:
        """As given, else as the ZeRO level says."""
        if self.shards is not None:
            return self.shards
        return Shards(*(replicas if zero >= level else 1 for level in (3, 2, 1)))

    def check(self, zero: int, replicas: int, *, experts: bool = False) -> None:
        """Raise `InputError` for shards that do not divide, and for what is not modelled together."""
        refuse_beside("layout.expert above 1", {
            "communication.overlap_weights": experts and self.weight_bucket is not None,
            "communication.shards": experts and self.shards is not None,
            "communication.local": experts and self.local is not None,
        })  # fmt: skip
        if self.shards is not None and zero:
            raise InputError("communication.shards beside layout.zero: both say what is sharded, leave one out")
        shards = self.shards_of(zero, replicas)
        shards.check(replicas)
        if self.local is not None:
            refuse_beside(
                "communication.local",
                {
                    "sharded states": shards.optimizer > 1,
                    "communication.overlap_gradients": self.gradient_bucket is not None,
                    "communication.compression": self.compression.name != "none",
                },
            )
        if self.compression.name != "none":
            refuse_beside(
                f"{self.compression.name} compression",
                {
                    "sharded gradients (use communication.transport)": shards.gradients > 1,
                    "sharded optimiser states": shards.optimizer > 1,
                    "communication.transport": self.transport.gradients is not None,
                },
            )
        # with one replica nothing is sent, whichever way it would have been
        asked = self.shards_of(zero, max(replicas, 2))
        if shards.gradients % self.transport.hop:
            raise InputError(
                f"communication.transport.hop {self.transport.hop} does not divide the {shards.gradients} replicas "
                "that share gradients out: choose a divisor"
            )
        self._check_transport(asked)
        if self.transport.gradients is not None and asked.gradients == 1:
            raise InputError(
                "communication.transport.gradients is of sharded gradients: set layout.zero to 2 or 3, "
                "or choose communication.compression"
            )

    def _check_transport(self, shards: Shards) -> None:
        """Raise `InputError` for formats of what is not sent."""
        transport = self.transport
        if transport.weights is not None and shards.weights == 1:
            raise InputError(
                "communication.transport.weights is of weights that are sharded: set layout.zero to 3, or leave it out"
            )
        if transport.secondary is not None and shards.secondary is None:
            raise InputError(
                "communication.transport.secondary is of the copy that communication.shards.secondary keeps: "
                "give that, or leave it out"
            )
        if transport.hop > 1 and transport.gradients is None:
            raise InputError(
                f"communication.transport.hop {transport.hop} is of quantised gradients: give "
                "communication.transport.gradients, or leave it out"
            )


PLAIN = Communication()
