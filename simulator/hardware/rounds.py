"""Time of work in rounds: each is as long as the longer of what it computes and what it sends meanwhile."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from simulator.hardware.fabric import Fabric
from simulator.workloads.operators import AnyOperator, Round, Rounds, Send, Size

Seconds = Callable[[AnyOperator], Size]


def rounds_seconds(op: Rounds, fabric: Fabric, seconds: Seconds) -> float:
    """Seconds of all rounds one after the other, `seconds` being those of one operator."""
    return sum(each.times * _round(each, fabric, seconds) for each in op.rounds)


def _round(each: Round, fabric: Fabric, seconds: Seconds) -> float:
    work = sum(float(np.asarray(seconds(op))) for op in each.work)
    return max(work, sends_seconds(each.sends, fabric, seconds))


def sends_seconds(sends: tuple[Send, ...], fabric: Fabric, seconds: Seconds) -> float:
    """Seconds until all is sent: links inside and between nodes work at once, a device's one port in turn.

    Where every device has a link of its own to each other one (a mesh), lanes are separate links that each have a share
    of the device's bandwidth.
    """
    inside: dict[int, float] = defaultdict(float)
    between = 0.0
    for send in sends:
        op = send.transfer
        if op.world > fabric.inside_ranks(op.stride):
            between += float(np.asarray(seconds(op)))
        elif fabric.peer_links > 1:
            slowed = replace(op, message=op.message * fabric.peer_links)
            inside[send.lane] += float(np.asarray(seconds(slowed)))
        else:
            inside[0] += float(np.asarray(seconds(op)))
    return max(between, *inside.values(), 0.0)
