"""Fourier transforms of signals, and the windows that go with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, first, streamed
from simulator.workloads.graphs.tensor import Shape, Tensor
from simulator.workloads.operators import Size


def _kept(size: Size, one_sided: bool) -> Size:
    """Frequencies that say all: half of them and one, for real signals."""
    return size // 2 + 1 if one_sided else size


def _transformed(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """Real and imaginary parts in the last dimension (ONNX, DFT)."""
    shape = list(first(operands).shape)
    axis = attributes.get("axis", 1 if "dft_length" not in attributes else -2) % len(shape)
    size = attributes.get("dft_length", shape[axis])
    shape[axis], shape[-1] = _kept(size, bool(attributes.get("onesided"))), 2
    return (tuple(shape),)


def _transform_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """5 n log2 n FLOPs a transform of n (Cooley and Tukey 1965), which is 2.5 log2 n for each real number given."""
    shape = first(operands).shape
    size = attributes.get("dft_length", shape[attributes.get("axis", -2) % len(shape)])
    return streamed(operands[:1], results, 2.5 * np.log2(size))


def _framed(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """Frames (batch, frames, frequencies, 2) of a signal (batch, length, 1) (ONNX, STFT)."""
    signal, length = first(operands).shape, attributes["frame_length"]
    frames = (signal[1] - length) // attributes["frame_step"] + 1
    return ((signal[0], frames, _kept(length, bool(attributes.get("onesided", 1))), 2),)


def _frames_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    return streamed(operands, results, 2.5 * np.log2(attributes["frame_length"]) + 1.0)


def _window_shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    return (tuple(attributes["shape"]),)


def _window_work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    return streamed((), results, 14.0)


SIGNAL = {
    "DFT": Kind(_transformed, _transform_work),
    "STFT": Kind(_framed, _frames_work),
    **{name: Kind(_window_shapes, _window_work)
       for name in ("HannWindow", "HammingWindow", "BlackmanWindow", "MelWeightMatrix")},
}  # fmt: skip
