"""One direction between two paired replicas: what one has cached is sent, in the background, to copies at the other."""

from __future__ import annotations

from simulator.engine.clock import Clock
from simulator.engine.handoff import KVTransfer
from simulator.engine.lane import Lane
from simulator.engine.link import Channel
from simulator.engine.redundant import Copies
from simulator.policies.sequence import Sequence


class Mirror:
    """Sends prompts when they are computed and tokens after each step, one after the other over a channel.

    With the transfer's `layerwise`, a prompt's layers leave while the others are computed. `copies` are those at the
    other replica; `tokens` counts what was sent.
    """

    def __init__(self, clock: Clock, lane: Lane, copies: Copies, transfer: KVTransfer) -> None:
        self.copies = copies
        self.channel = Channel(min(transfer.send, transfer.receive), transfer.latency)
        self.tokens = 0
        self._clock = clock
        self._decoding = lane.state.decoding
        self._transfer = transfer
        self._sent_to = 0

    def step(self) -> None:
        """Send the tokens that the steps since the last call have cached, of what has a copy."""
        decoding, copies = self._decoding, self.copies
        if decoding.step == self._sent_to:
            return
        self._sent_to = decoding.step
        grown, tokens = [], 0
        for sequence in decoding if len(copies) else ():
            found = copies.get(sequence)
            if found is None:
                continue
            cached = sequence.computed + decoding.step - sequence.joined_at
            missing = cached - found.tokens
            if copies.extend(sequence, cached):
                grown.append(found)
                tokens += missing
        if grown:
            arrival = self._send(tokens, self._clock.now, 1)
            for found in grown:
                found.ready = max(found.ready, arrival)

    def prompt(self, sequence: Sequence) -> bool:
        """Copy a sequence whose prompt is computed, if there is room for it at the other replica."""
        if not self.copies.hold(sequence, sequence.computed):
            return False
        found = self.copies.get(sequence)
        assert found is not None
        begun, layers = self._clock.now, 1
        if self._transfer.layerwise:
            begun, layers = sequence.scheduled, self._transfer.layers
        found.ready = self._send(sequence.computed, begun, layers)
        return True

    def _send(self, tokens: int, begun: float, layers: int) -> float:
        """When all of `tokens` tokens are there; layers leave from `begun` on, the last one now."""
        size = round(tokens * self._transfer.token_bytes)
        self.tokens += tokens
        _, arrival = self.channel.send(begun, size)
        return max(arrival, self._clock.now + size / self.channel.bandwidth / layers + self.channel.latency)
