"""Wider bands of speech from two streams of ConvNeXt blocks on spectra (AP-BWE: Lu et al., arXiv:2401.06387)."""

from __future__ import annotations

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    width: int = 512,
    depth: int = 8,
    kernel: int = 7,
    widened: int = 3,
    window: int = 1024,
    hop: int = 80,
    rate: int = 48000,
    seconds: float = 4.0,
) -> Graph:
    """Amplitudes and phases of frames every `hop` samples, `depth` blocks each that add to one another, and a signal.

    The signal is already sampled at the wider `rate`. Spectra and overlapped frames are transforms of `window` numbers.
    """
    g = Builder("bandwidth", format)
    bins, frames = window // 2 + 1, int(seconds * rate) // hop
    signal = g.input(batch, (frames - 1) * hop + window, 1)
    heard = g.add_node("STFT", [signal], frame_length=window, frame_step=hop)
    parts = g.split(g.transpose(heard, 0, 2, 1, 3), 2, axis=3)
    loud, phase = (g.reshape(x, batch, bins, frames) for x in parts)
    loud, phase = g.act(g.add(g.mul(loud, loud), g.mul(phase, phase)), "Log"), _angle(g, loud, phase)
    streams = [_normed(g, g.conv(x, width, kernel, bias=True)) for x in (loud, phase)]
    for _ in range(depth):
        streams[0] = g.add(*streams)
        streams[1] = g.add(*streams)
        streams = [_block(g, x, kernel, widened) for x in streams]
    loud, phase = (g.layer_norm(g.transpose(x, 0, 2, 1)) for x in streams)
    return g.build(_signal(g, g.linear(loud, bins), [g.linear(phase, bins) for _ in range(2)], window))


def _normed(g: Builder, x: str) -> str:
    return g.transpose(g.layer_norm(g.transpose(x, 0, 2, 1)), 0, 2, 1)


def _block(g: Builder, x: str, kernel: int, widened: int) -> str:
    """A depth-wise convolution over time and two products, with a learned factor for each channel."""
    width = g.channels(x)
    y = g.layer_norm(g.transpose(g.conv(x, width, kernel, groups=width, bias=True), 0, 2, 1))
    y = g.linear(g.act(g.linear(y, widened * width), "Gelu"), width)
    y = g.add_node("Mul", [y], weights=[(width,)])
    return g.add(x, g.transpose(y, 0, 2, 1))


def _angle(g: Builder, real: str, imaginary: str) -> str:
    return g.act(g.add_node("Div", [imaginary, real]), "Atan")


def _signal(g: Builder, loud: str, phase: list[str], window: int) -> str:
    """Complex numbers of amplitudes and phases, and a transform back of each frame."""
    batch, frames, bins = g.shape(loud)
    angle = _angle(g, *phase)
    turned = [g.mul(g.act(loud, "Exp"), g.act(angle, name)) for name in ("Cos", "Sin")]
    pairs = g.concat([g.reshape(x, batch, frames, bins, 1) for x in turned], axis=3)
    return g.add_node("DFT", [pairs], axis=2, dft_length=window, inverse=1)
