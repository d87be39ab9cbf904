"""Carries out the copies of swapped sequences between a replica's devices and its host memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.engine.clock import ARRIVAL, Clock
from simulator.engine.link import Channel
from simulator.policies.kv_cache.swapping import Order, Swapping
from simulator.policies.sequence import Sequence


@dataclass(frozen=True, slots=True)
class SwapSetup:
    """What swapping takes on every replica.

    A device moves `block_bytes` of a block at `bandwidth` bytes/s each way. A copy call moves up to `group_blocks`
    blocks of one of its `tensors` (keys or values of a layer) and costs `call_latency` seconds besides, in which no
    other begins. Host memory holds `blocks` blocks, each of `host_bytes` on all devices together.
    """

    blocks: int
    block_bytes: float
    host_bytes: float
    tensors: int
    bandwidth: float
    call_latency: float
    group_blocks: int = 1
    asynchronous: bool = False
    reuse: bool = False

    def calls(self, blocks: int) -> int:
        """Copy calls that one device makes for so many blocks of a sequence."""
        return -(-blocks // self.group_blocks) * self.tensors


@dataclass(slots=True)
class SwapCounts:
    """What was copied, by direction (out, back): sequences, blocks, tokens, bytes of all devices, calls of a device.

    `stall` is the seconds for which iterations waited for copies.
    """

    sequences: list[int]
    blocks: list[int]
    tokens: list[int]
    bytes: list[float]
    calls: list[int]
    stall: float = 0.0


class SwapCopies:
    """The copies of one replica, through a channel each way (PCIe is full duplex).

    Synchronous copies follow each other and the iteration decided with them, as on the one stream of vLLM V0
    (`Worker.execute_worker`, `CacheEngine.swap_out`). Asynchronous ones go on beside the iterations; `on_landing` is
    called when one has ended and `before_landing` just before its blocks change hands.
    """

    def __init__(
        self,
        clock: Clock,
        swapping: Swapping,
        setup: SwapSetup,
        before_landing: Callable[[], None],
        on_landing: Callable[[], None],
    ) -> None:
        self.clock = clock
        self.swapping = swapping
        self.setup = setup
        self.before_landing = before_landing
        self.on_landing = on_landing
        self.channels = (
            Channel(setup.bandwidth, call_latency=setup.call_latency),
            Channel(setup.bandwidth, call_latency=setup.call_latency),
        )
        self.counts = SwapCounts([0, 0], [0, 0], [0, 0], [0.0, 0.0], [0, 0])
        self._busy = 0.0
        self._landing: dict[Sequence, float] = {}

    def start(self) -> None:
        """Start the copies that the last decision has ordered."""
        swapping = self.swapping
        orders, swapping.orders = swapping.orders, []
        for order in orders:
            if swapping.asynchronous:
                self._beside(order)
            else:
                self._busy = self._send(order, max(self._busy, self.clock.now))
        for sequence in swapping.claimed:
            self._busy = max(self._busy, self._landing[sequence])
        swapping.claimed.clear()

    def stall(self) -> float:
        """Seconds for which the iteration that would begin now has to wait; it is counted as waiting."""
        seconds = float(max(0.0, self._busy - self.clock.now))
        self.counts.stall += seconds
        return seconds

    def _send(self, order: Order, time: float) -> float:
        """When the copy has ended that is asked for at `time`."""
        setup, counts, way = self.setup, self.counts, int(order.back)
        calls = setup.calls(order.blocks)
        counts.sequences[way] += 1
        counts.blocks[way] += order.blocks
        counts.tokens[way] += order.tokens
        counts.bytes[way] += order.blocks * setup.host_bytes
        counts.calls[way] += calls
        return self.channels[way].send(time, round(order.blocks * setup.block_bytes), calls=calls)[1]

    def _beside(self, order: Order) -> None:
        end = self._send(order, self.clock.now)
        event = self.clock.at(end, ARRIVAL)
        assert event.callbacks is not None
        if order.back:
            event.callbacks.append(lambda _: self._arrived(order.sequence))
        else:
            self._landing[order.sequence] = end
            event.callbacks.append(lambda _: self._left(order.sequence))

    def _left(self, sequence: Sequence) -> None:
        self.before_landing()
        del self._landing[sequence]
        self.swapping.left(sequence)
        self.on_landing()

    def _arrived(self, sequence: Sequence) -> None:
        self.swapping.arrived(sequence)
        self.on_landing()
