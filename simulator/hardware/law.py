"""The timing law: how long an operator takes on a device, by its datasheet and its calibrated curves.

t = joined(FLOP / (peak e_c), bytes / (bandwidth e_m)) + overhead, where the shares are functions of shape that
the curves in `simulator.hardware.kernels` define. Operators may hold numbers or arrays; answers are seconds of
the same shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from simulator.errors import InputError
from simulator.hardware.architectures import Launches, WholeGraph
from simulator.hardware.attention_kernel import AttentionKernel
from simulator.hardware.beside import laid_out, on_architecture
from simulator.hardware.calibration import Calibrations
from simulator.hardware.collectives import collective_seconds
from simulator.hardware.device import Device
from simulator.hardware.fabric import Fabric
from simulator.hardware.formats import peak_of
from simulator.hardware.kernels import BlockedCurve, Machine, Roofs, StreamingCurve
from simulator.hardware.kernels.machine import quicker
from simulator.hardware.products import by_instructions, product_roofs
from simulator.hardware.rounds import rounds_seconds
from simulator.hardware.unpacking import with_unpacking
from simulator.workloads.dtypes import DType
from simulator.workloads.operators import (
    Aggregation,
    AnyOperator,
    Attention,
    Collective,
    Convolution,
    Elementwise,
    Experts,
    Fused,
    Gather,
    Gemm,
    HeadShape,
    HostCopy,
    LowRank,
    Rounds,
    Size,
)
from simulator.workloads.operators.products import AnyProduct

NO_GAIN = 0.001  # what curves have for a cache that was not looked at


@dataclass(frozen=True)
class TimingLaw:
    """Times operators on one device with its calibrations and the fabric to its neighbours.

    `overlap` is the share of each kernel's overhead (launch, ramps) that back-to-back kernels of a replayed graph
    hide. `benchmark` times kernels as a microbenchmark meets them. `factors` lengthens kernels by family, for
    intervals. `footprint` is the bytes that a whole pass touches, which tells what a processor's caches keep of them.
    """

    device: Device
    calibrations: Calibrations
    fabric: Fabric
    overlap: float = 0.0
    benchmark: bool = False
    factors: Mapping[str, float] = field(default_factory=dict)
    footprint: Size = 0.0

    @cached_property
    def machine(self) -> Machine:
        return machine_of(self.device, benchmark=self.benchmark, footprint=self.footprint)

    @property
    def cache(self) -> tuple[float, float]:
        """Bytes that kernels of a graph find in the last cache, and how much faster than memory it is, less one.

        Nothing where the curve of pointwise kernels does not say: it was then fitted to memory alone.
        """
        curve = self.calibrations.find("streaming", "elementwise").curve
        if not isinstance(curve, StreamingCurve) or curve.cache_gain <= NO_GAIN:
            return 0.0, 0.0
        return self.machine.cache * curve.cache_share, curve.cache_gain

    def peak(self, compute: str) -> float:
        """Peak FLOP/s for an arithmetic format, or for the nearest wider one that the device has."""
        peak = peak_of(self.device, compute)
        if peak is None:
            has = ", ".join(sorted(self.device.peak_flops))
            raise InputError(f"device {self.device.id} has no {compute} arithmetic: it has {has}")
        return peak

    def roofs(self, op: AnyOperator) -> Roofs:
        """Seconds of `op` under each roof. An operator of size zero costs nothing, not even its launch."""
        elsewhere = isinstance(op, Collective | HostCopy | Rounds) or (
            self.device.kind == "cpu" and by_instructions(op)
        )
        if self.device.architecture is not None and not elsewhere:
            found = on_architecture(self.device, self.device.architecture, op)
            return with_unpacking(self, op, found) if self.device.kind == "cpu" else found
        if isinstance(op, Gemm | Convolution):
            return self._gemm(op)
        if isinstance(op, Experts):
            return self._experts(op)
        if isinstance(op, Collective | HostCopy | Rounds):
            return self._over_links(op)
        if isinstance(op, Fused | AnyProduct):
            return self._fused(op) if isinstance(op, Fused) else product_roofs(self, op)
        return self._attention(op) if isinstance(op, Attention) else self._streaming(op)

    def all_roofs(self, launches: Launches) -> tuple[Roofs, ...]:
        """Roofs of one launch of each operator of a graph, laid out together where the architecture does so."""
        architecture = self.device.architecture
        if isinstance(architecture, WholeGraph):
            return laid_out(self.device, architecture, launches)
        return tuple(self.roofs(op) for op, _ in launches)

    def _streaming(self, op: Elementwise | Gather | Aggregation | LowRank) -> Roofs:
        return self._by_vectors(op.kernel, op)

    def _by_vectors(self, kernel: str, op: Convolution | Elementwise | Gather | Aggregation | LowRank) -> Roofs:
        """An operator on the vector units, which compute in fp32 unless it says otherwise."""
        known = self.calibrations.find("streaming", kernel)
        peak = self.peak("fp32" if isinstance(op, Convolution) else op.compute)
        found: Roofs = known.curve.roofs(op.flops(), op.bytes(), peak=peak, machine=self.machine)
        if not self.benchmark:
            # kernels timed on what their caches held seem to exceed the memory: what no cache holds does not
            beyond = (op.bytes() - self.machine.cache) / self.machine.bandwidth
            found = replace(found, memory=np.maximum(found.memory, beyond))
        return found.overlapped(known.hidden(self.overlap), self.factors.get("streaming", 1.0))

    def seconds(self, op: AnyOperator) -> Size:
        """Seconds of one call."""
        return self.roofs(op).seconds()

    def attention_parts(self, op: Attention) -> list[tuple[str, Roofs]]:
        """The kernels that serve one iteration's attention: "prefill", "decode", or one "mixed" for both."""
        kernel = self.attention(op.prompt, op.decode, op.span.window)
        work = kernel.work(op.chunks).times(op.share)
        sequences, attended = op.sequences * op.share, op.attended * op.share
        if op.chunks and sequences and kernel.fused:
            return [("mixed", kernel.prompts(kernel.together(work, sequences, attended)))]
        parts = [("prefill", kernel.prompts(work))] if op.chunks else []
        return [*parts, ("decode", kernel.decoding(sequences, attended))] if sequences else parts

    def attention(self, prompt: HeadShape, decode: HeadShape, window: int | None = None) -> AttentionKernel:
        """The attention kernels for heads of this shape under this window."""
        if self.device.architecture is not None:
            raise InputError(
                f"device {self.device.id}: its own architecture times operator graphs (kind: inference); "
                "serving language models needs a device that the calibrated law times"
            )
        prompts = self.calibrations.find("attention", prompt.format)
        decoding = self.calibrations.find("decode", decode.format)
        return AttentionKernel(
            prompt,
            decode,
            window,
            prompts.curve,
            decoding.curve,
            self.peak(prompt.activation.compute),
            self.machine,
            prompts.hidden(self.overlap),
            decoding.hidden(self.overlap),
            self.factors.get("attention", 1.0),
            self.factors.get("decode", 1.0),
        )

    def _gemm(self, op: Gemm | Convolution) -> Roofs:
        """Convolutions are the matrix products of their patches, whose traffic is that of the images.

        Groups may also be convolved one number at a time on the vector units, where that is quicker.
        """
        # measured 8-bit products quantise their inputs first; with 8-bit inputs, kernels are like 16-bit ones
        quantised = op.activation.bits <= 8 and self.device.kind != "cpu"
        known = self.calibrations.find(op.kind, "bf16" if quantised else op.weight.name)
        count: Size = 1.0
        moved: Size | None = None
        if isinstance(known.curve, BlockedCurve):
            assert isinstance(op, Convolution)
            direct = known.curve.roofs(op, peak=self.peak(op.compute), machine=self.machine)
            return direct.overlapped(known.hidden(self.overlap), self.factors.get("gemm", 1.0))
        if isinstance(op, Convolution):
            (m, n, k), count, moved = op.product, op.groups, op.bytes()
        else:
            m, n, k, count = op.m, op.n, op.k, op.batch
        found: Roofs = known.curve.roofs(
            m,
            n,
            k,
            weight=op.weight.bytes,
            activation=input_bytes(op.weight, op.activation),
            peak=self.peak(op.compute),
            machine=self.machine,
            count=count,
            moved=moved,
        )
        if self.device.kind == "cpu":
            found = with_unpacking(self, op, found)
        if known.lent:  # some cards run above the clock of their datasheets, which tells nothing of others
            found = replace(found, compute=np.maximum(found.compute, op.flops() / self.peak(op.compute)))
        found = _only_where(np.asarray(m) > 0, found).overlapped(
            known.hidden(self.overlap), self.factors.get("gemm", 1.0)
        )
        if isinstance(op, Convolution) and np.any(np.asarray(op.groups) > 1):
            return quicker(found, self._by_vectors("depthwise", op), np.asarray(op.groups) > 1)
        return found

    def _attention(self, op: Attention) -> Roofs:
        parts = [roofs for _, roofs in self.attention_parts(op)]
        if len(parts) == 1:
            return parts[0]
        return Roofs(0.0, 0.0, sum((p.seconds() for p in parts), 0.0))

    def _fused(self, op: Fused) -> Roofs:
        """The main kernel, with arithmetic at the vector units' peak and traffic at the main kernel's speed on top."""
        main = self.roofs(op.main)
        compute = main.compute + op.more_flops / self.peak("fp32")
        return Roofs(compute, main.memory * (op.bytes() / op.main.bytes()), main.overhead, main.sharpness)

    def _experts(self, op: Experts) -> Roofs:
        known = self.calibrations.find("experts", op.weight.name)
        found: Roofs = known.curve.roofs(
            op.tokens,
            hidden=op.hidden,
            intermediate=op.intermediate,
            top_k=op.top_k,
            experts=op.experts,
            ranks=op.ranks,
            gated=op.gated,
            distribution=op.distribution,
            busiest=op.busiest,
            weight=op.weight.bytes,
            activation=input_bytes(op.weight, op.activation),
            peak=self.peak(op.compute),
            machine=self.machine,
        )
        return found.overlapped(known.hidden(self.overlap), self.factors.get("experts", 1.0))

    def _over_links(self, op: Collective | HostCopy | Rounds) -> Roofs:
        """Between devices by the collective's own time; from the host by bytes, and the latency of each transfer."""
        if isinstance(op, Rounds):
            return Roofs(0.0, 0.0, rounds_seconds(op, self.fabric, self.seconds))
        if isinstance(op, HostCopy):
            host = self.fabric.host
            return Roofs(0.0, op.message / (host.bandwidth * host.efficiency), op.transfers * host.latency)
        seconds = self._collective(op) * self.factors.get("collective", 1.0)
        return Roofs(0.0 * op.message, seconds, 0.0 * op.message)

    def _collective(self, op: Collective) -> Size:
        """By the curve of collectives measured over such links inside a node, else by the closed forms."""
        busy = np.asarray(op.message) > 0
        curve = self.calibrations.collective(op.pattern, self.fabric.inside.name)
        if curve is None or not 1 < op.world <= self.fabric.inside_ranks(op.stride):
            return collective_seconds(op, self.fabric) * busy
        return curve.seconds(op.pattern, op.message, op.world, self.fabric.inside.bandwidth) * busy


def machine_of(device: Device, *, benchmark: bool = False, footprint: Size = 0.0) -> Machine:
    """What kernel laws need of a datasheet; a clock that it does not give is taken as 1.5 GHz."""
    units, clock = device.units.get("sm", 1.0), device.units.get("clock_ghz", 1.5) * 1e9
    last = max(device.cache.values(), default=0.0) if device.kind == "cpu" else device.cache.get("l2", 0.0)
    near = device.cache.get("l2", 0.0) / units if device.cache.get("l2", 0.0) < last else 0.0
    return Machine(device.memory_bandwidth, units, last, clock, benchmark, near, footprint)


def input_bytes(weight: DType, activation: DType) -> float:
    """Bytes of an input element: inputs of 8- and 4-bit arithmetic are quantised to the weights' own format."""
    return weight.bytes if weight.compute in ("fp8", "int8", "nvfp4") else activation.bytes


def _only_where(busy: object, roofs: Roofs) -> Roofs:
    mask = np.asarray(busy, dtype=np.float64)
    return Roofs(roofs.compute * mask, roofs.memory * mask, roofs.overhead * mask, roofs.sharpness)
