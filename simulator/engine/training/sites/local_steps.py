"""Local steps of sites and the exchanges between them, on one clock: a link carries one exchange at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.hardware.collectives import ring_all_reduce
from simulator.hardware.links import Link
from simulator.policies.synchronisation.exchange import Exchange

# Exchanges that queue for the link settle within a few periods; a cycle of them may be longer than one period.
WARM_UP, OBSERVED = 8, 8


@dataclass(frozen=True, slots=True)
class Sites:
    """`count` sites in a ring over `link`, each of which needs `step` seconds for a local step.

    `parameters` are those of the model; the outer optimiser takes `outer` seconds for all of them.
    """

    count: int
    link: Link
    step: float
    parameters: float
    outer: float = 0.0

    def bytes_of(self, exchange: Exchange) -> float:
        """Bytes that an exchange reduces."""
        return self.parameters * exchange.share * exchange.bits / 8.0

    def seconds(self, exchange: Exchange) -> float:
        """Seconds of the ring all-reduce of one exchange; a site alone has nobody to exchange with."""
        return float(ring_all_reduce(self.bytes_of(exchange), self.count, self.link)) if self.count > 1 else 0.0


@dataclass(frozen=True, slots=True)
class Period:
    """One period of local steps in the steady state, in seconds: in all, computing, waiting, and on the link.

    `sent` are the bytes that each site sends.
    """

    seconds: float
    computing: float
    waiting: float
    linked: float
    sent: float

    @property
    def utilisation(self) -> float:
        """Share of the time in which a site computes."""
        return self.computing / self.seconds


def steady_period(sites: Sites, period: int, exchanges: Sequence[Exchange]) -> Period:
    """The mean of periods after the first ones, whose links are still free."""
    last = _clock_after(sites, period, exchanges, WARM_UP + OBSERVED)
    computing = period * sites.step
    linked = sum(sites.seconds(e) for e in exchanges)
    # A link that is only just too slow takes long to use up what exchanges may overlap with.
    seconds = max(linked, (last - _clock_after(sites, period, exchanges, WARM_UP)) / OBSERVED)
    ring = 2.0 * (sites.count - 1) / sites.count
    sent = ring * sum(sites.bytes_of(e) for e in exchanges)
    return Period(seconds, computing, seconds - computing, linked, sent)


def _clock_after(sites: Sites, period: int, exchanges: Sequence[Exchange], periods: int) -> float:
    """Seconds until `periods` periods are over: starts and waits in the order of local progress."""
    moments: list[tuple[float, int, int, Exchange]] = []
    for n in range(periods):
        for exchange in exchanges:
            key = len(moments) // 2
            moments.append((n * period + exchange.after, 0, key, exchange))
            moments.append((n * period + exchange.before, 1, key, exchange))
    now = free = progress = 0.0
    done: dict[int, float] = {}
    for at, waits, key, exchange in sorted(moments, key=lambda m: m[:3]):
        if at > periods * period:
            break
        now += (at - progress) * sites.step
        progress = at
        if waits:
            now = max(now, done[key]) + (sites.outer * exchange.share if exchange.outer else 0.0)
        else:
            free = done[key] = max(now, free) + sites.seconds(exchange)
    return now + (periods * period - progress) * sites.step


def required_bandwidth(sites: Sites, period: int, exchanges: Sequence[Exchange], utilisation: float) -> float:
    """The least bytes a second on each site's link with which sites compute that share of the time.

    Infinite where no bandwidth will do, because of latency and outer steps.
    """
    low, high = 1.0, 1e15

    def enough(rate: float) -> bool:
        link = Link(sites.link.name, rate, sites.link.latency, 1.0, sites.link.source)
        faster = Sites(sites.count, link, sites.step, sites.parameters, sites.outer)
        return steady_period(faster, period, exchanges).utilisation >= utilisation

    if not enough(high):
        return float("inf")
    while high / low > 1.001:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
