"""A channel that serves transfers one after the other."""

from __future__ import annotations


class Channel:
    """First come, first served, at `bandwidth` bytes/s; `latency` seconds pass on the way and hold up nobody else.

    Each of the `calls` that a transfer is made of holds the channel up for `call_latency` seconds besides.

    A transfer's times are known when it is asked for, so it takes no event of its own. Requests must come in
    order of time.
    """

    def __init__(self, bandwidth: float, latency: float = 0.0, *, call_latency: float = 0.0) -> None:
        self.bandwidth = bandwidth
        self.latency = latency
        self.call_latency = call_latency
        self.free = 0.0
        self.bytes = 0
        self.busy = 0.0

    def send(self, now: float, size: int, *, calls: int = 0) -> tuple[float, float]:
        """Begin and arrival, in seconds, of a transfer of `size` bytes that is asked for at `now`."""
        begin = max(now, self.free)
        seconds = size / self.bandwidth + calls * self.call_latency
        self.free = begin + seconds
        self.bytes += size
        self.busy += seconds
        return begin, self.free + self.latency

    def backlog(self, now: float) -> float:
        """Bytes asked for and not sent yet."""
        return max(0.0, self.free - now) * self.bandwidth
