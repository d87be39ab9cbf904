"""Replicas on servers: which devices each gets, and which ports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.deployment.accelerators import per_server
from simulator.deployment.pools import Pool


@dataclass(frozen=True, slots=True)
class Instance:
    """A replica: its number in its pool, the servers that it is on, and the devices that it has on each.

    `place` counts the replicas that begin on the first of its servers, for ports.
    """

    pool: Pool
    number: int
    servers: tuple[int, ...]
    devices: tuple[int, ...]
    place: int


def placed(pools: Sequence[Pool]) -> list[Instance]:
    """One replica after the other, none across two servers unless it is larger than one.

    Pools of the same devices share servers. Devices that come in no node stand in servers of one replica each.
    """
    found: list[Instance] = []
    server, used, place, before = -1, 0, 0, ""
    for pool in pools:
        kind = f"{pool.scenario.device} {pool.scenario.node}"
        room = per_server(pool.scenario.device, pool.scenario.node) or pool.devices
        for number in range(pool.replicas):
            if server < 0 or kind != before or used + min(pool.devices, room) > room:
                server, used, place, before = server + 1, 0, 0, kind
            each = min(pool.devices, room)
            spread = -(-pool.devices // room)
            found.append(
                Instance(pool, number, tuple(range(server, server + spread)), tuple(range(used, used + each)), place)
            )
            server, used, place = server + spread - 1, used + each, place + 1
            if spread > 1:
                used = room
    return found
