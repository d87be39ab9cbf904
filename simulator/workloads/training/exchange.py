"""All-to-all exchanges over ranks of several nodes, by what crosses which links."""

from __future__ import annotations

import math

from simulator.workloads.operators import AnyOperator, Collective, Round, Rounds, Send


def all_to_all(message: float, world: int, stride: int, inside: int) -> tuple[AnyOperator, ...]:
    """All-to-all of `message` bytes a rank; of the `world` ranks, `stride` devices apart, `inside` share a node."""
    if world == 1:
        return ()
    sends = exchange(message, world, stride, inside)
    return (sends[0].transfer,) if len(sends) == 1 else (Rounds((Round((), sends),)),)


def exchange(message: float, world: int, stride: int, inside: int) -> tuple[Send, ...]:
    """The same as transfers at once: what stays in the node, and what goes to other nodes over each rank's own port.

    Of n nodes a rank sends (n - 1) / n of the message to others, the rest to the ranks of its own.
    """
    if world <= inside or inside == 1:
        return (Send(Collective("all_to_all", message, world, stride)),)
    nodes = math.ceil(world / inside)
    return (
        Send(Collective("all_to_all", message / nodes, inside, stride)),
        Send(Collective("all_to_all", message, nodes, stride * inside)),
    )
