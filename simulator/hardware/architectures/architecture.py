"""What an architecture is: how devices of a kind turn operators into time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from simulator.hardware.kernels import Roofs
from simulator.workloads.operators import AnyOperator, Size

if TYPE_CHECKING:
    from simulator.hardware.device import Device

Launches = Sequence[tuple[AnyOperator, Size]]  # operators in their order, and how often each runs in a row


@runtime_checkable
class Architecture(Protocol):
    """Parameters of one device's architecture; a device file names it and gives them under `architecture`."""

    def roofs(self, op: AnyOperator, device: Device) -> Roofs:
        """Seconds of one call of `op` on its own. Sizes may be arrays."""
        ...

    def lacks(self, op: AnyOperator, device: Device) -> str | None:
        """What the device lacks to run `op`, such as "fp32 arithmetic"; None if it runs it."""
        ...


@runtime_checkable
class WholeGraph(Protocol):
    """An architecture that lays a whole graph out at once: pipelines of layers, weights that stay on the chip.

    `separable` says that operators take as long beside others as on their own.
    """

    @property
    def separable(self) -> bool: ...

    def schedule(self, launches: Launches, device: Device) -> tuple[Roofs, ...]:
        """Roofs of one launch of each operator, such that they add up to the time of one answer."""
        ...


@runtime_checkable
class Streaming(Protocol):
    """An architecture through which answers flow one behind the other."""

    def interval(self, launches: Launches, device: Device) -> float:
        """Seconds from one answer to the next when there is always another."""
        ...


@runtime_checkable
class Stored(Protocol):
    """An architecture whose weights lie in a read-only store of their own."""

    @property
    def flash(self) -> float:
        """Bytes of the store."""
        ...


@runtime_checkable
class Eventful(Protocol):
    """An architecture that works only where something happens."""

    def events(self, op: AnyOperator) -> Size:
        """Synaptic operations of one call."""
        ...
