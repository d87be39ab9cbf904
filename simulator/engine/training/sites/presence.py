"""Sites that leave and join a run: rounds of local steps with whoever is there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simulator.engine.streams import stream
from simulator.engine.training.sites.local_steps import Period, Sites, steady_period
from simulator.policies.synchronisation.exchange import Synchronisation


@dataclass(frozen=True, slots=True)
class Presence:
    """Seconds: mean stay of a site and mean absence, both exponential, and how long a site that left is waited for.

    A site that comes back first copies `copied` bytes of the model's state from a peer, while the others go on if
    `live`, else they wait.
    """

    stay: float
    absence: float
    timeout: float
    copied: float
    live: bool = True


@dataclass(frozen=True, slots=True)
class Rounds:
    """Rounds of a run of `seconds`: what sites computed, in seconds of one site, and how they came and went.

    `active` is the mean number of sites in a round, `waiting` the seconds in which sites waited in each round together.
    """

    seconds: float
    rounds: int
    computed: float
    active: float
    left: int
    joined: int
    waiting: float


def run_rounds(sites: Sites, policy: Synchronisation, presence: Presence, until: float, seed: int) -> Rounds:
    """Rounds until `until` seconds have passed. A site that leaves in a round adds nothing to it."""
    rng = stream(seed, "presence of sites")
    change = rng.exponential(presence.stay, sites.count)
    here = np.ones(sites.count, dtype=np.bool_)
    ready = np.zeros(sites.count)
    now = computed = active = waiting = 0.0
    rounds = left = joined = 0
    periods: dict[int, Period] = {}
    copy = sites.link.latency + presence.copied / (sites.link.bandwidth * sites.link.efficiency)
    while now < until:
        back = ~here & (change <= now)
        ready[back] = change[back] + copy
        change[back] = now + rng.exponential(presence.stay, int(back.sum()))
        here |= back
        joined += int(back.sum())
        if back.any() and not presence.live:
            now += copy
            waiting += copy
        taking_part = here & (ready <= now)
        if not taking_part.any():
            now = float(np.min(np.where(here, ready, np.maximum(change, now))) + 1e-9)
            continue
        count = int(taking_part.sum())
        if count not in periods:
            periods[count] = steady_period(replace(sites, count=count), policy.period, policy.exchanges())
        found = periods[count]
        end = now + found.seconds
        gone = here & (change <= end)
        stayed = int((taking_part & ~gone).sum())
        wait = presence.timeout if (taking_part & gone).any() else 0.0
        change[gone] += rng.exponential(presence.absence, int(gone.sum()))
        here &= ~gone
        left += int(gone.sum())
        now = end + wait
        waiting += found.waiting + wait
        computed += stayed * found.computing
        active += count
        rounds += 1
    return Rounds(now, rounds, computed, active / max(1, rounds), left, joined, waiting)
