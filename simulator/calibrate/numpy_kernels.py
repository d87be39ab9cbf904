"""The kernels of a decoder layer in NumPy, single precision: what the microbenchmarks time and the engine runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Ints = NDArray[np.int64]


def rms_norm(x: Array, residual: Array, weight: Array) -> tuple[Array, Array]:
    """The sum of both inputs (rows, width), and its root-mean-square norm times `weight`."""
    total = x + residual
    scale = 1.0 / np.sqrt(np.square(total).mean(axis=-1, keepdims=True) + np.float32(1e-6))
    return total, total * scale * weight


def silu_mul(gate: Array, up: Array) -> Array:
    """SwiGLU's activation: silu(gate) * up."""
    activated: Array = gate / (1 + np.exp(-gate)) * up
    return activated


def rotate(x: Array, cosine: Array, sine: Array) -> Array:
    """Rotary embedding of rows (n, width) by half-width tables (n, width / 2)."""
    half = x.shape[-1] // 2
    a, b = x[:, :half], x[:, half:]
    return np.concatenate([a * cosine - b * sine, b * cosine + a * sine], axis=-1)


def softmax(scores: Array) -> Array:
    """Softmax over the last axis."""
    weights: Array = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights


def prompt_attention(q: Array, k: Array, v: Array) -> Array:
    """Causal attention of new tokens q (heads, new, width) to k and v (heads, cached + new, width)."""
    new, total = q.shape[1], k.shape[1]
    mask = np.triu(np.full((new, total), -np.inf, np.float32), total - new + 1)
    return softmax(q @ k.swapaxes(-1, -2) + mask) @ v


def gather(cache: Array, blocks: Ints, tokens: int) -> Array:
    """The first `tokens` tokens of a sequence as (heads, tokens, width), from blocks (block, token, head, width)."""
    rows = cache[blocks].reshape(-1, cache.shape[2], cache.shape[3])[:tokens]
    return rows.swapaxes(0, 1)


def decode_attention(q: Array, keys: Array, values: Array, tables: list[Ints], contexts: list[int]) -> Array:
    """Attention of one token of each sequence, q (sequences, heads, width), to its paged cache."""
    out = np.empty_like(q)
    for i, (blocks, tokens) in enumerate(zip(tables, contexts, strict=True)):
        k, v = gather(keys, blocks, tokens), gather(values, blocks, tokens)
        out[i] = (softmax(q[i][:, None, :] @ k.swapaxes(-1, -2)) @ v)[:, 0]
    return out


def convolve(images: Array, weights: Array, size: int, stride: int) -> Array:
    """Convolution of images (n, channels, height, width) with filters (channels size size, filters), edges padded.

    Patches are laid out as rows of one matrix product; the answer is (n, height, width, filters) of the output.
    """
    edge = size // 2
    padded = np.pad(images, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    patches = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    rows = patches.transpose(0, 2, 3, 1, 4, 5).reshape(-1, weights.shape[0])
    found: Array = (rows @ weights).reshape(images.shape[0], *patches.shape[2:4], weights.shape[1])
    return found


def sample(logits: Array) -> Ints:
    """The likeliest token of each row, by its probabilities as an engine computes them."""
    picked: Ints = softmax(logits).argmax(axis=-1)
    return picked
