"""What devices send each other and what comes from host memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from simulator.workloads.operators.base import Size


@dataclass(frozen=True, slots=True)
class Collective:
    """A collective operation of `world` ranks; `message` is the bytes of one rank's full input or output.

    The ranks are `stride` devices apart, so that only every so many share a node.

    `pattern` is "all_reduce", "all_gather", "reduce_scatter", "all_to_all" or "send_recv", which passes the message
    to a neighbour (world 2), or one place on in a ring of `world` ranks.
    """

    pattern: str
    message: Size
    world: int
    stride: int = 1
    kind: ClassVar[str] = "collective"

    @property
    def compute(self) -> str:
        return "fp32"

    def flops(self) -> Size:
        return 0.0 * self.message

    def bytes(self) -> Size:
        return self.message


@dataclass(frozen=True, slots=True)
class HostCopy:
    """`message` bytes copied from host memory to the device, in so many `transfers`."""

    message: Size
    transfers: Size
    kind: ClassVar[str] = "host_copy"

    @property
    def compute(self) -> str:
        return "fp32"

    def flops(self) -> Size:
        return 0.0 * self.message

    def bytes(self) -> Size:
        return self.message
