"""Text to video by latent diffusion: the text's encoder once, the transformer in each step, the decoder once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.families import text_to_text, video_decoder, video_transformer
from simulator.workloads.graphs.graph import Model, Part
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    text: Mapping[str, Any],
    denoiser: Mapping[str, Any],
    frames: int = 81,
    height: int = 480,
    across: int = 832,
    steps: int = 50,
    guidance: bool = True,
) -> Model:
    """`frames` of `height` x `across`; latents are a quarter of the frames (but the first) and an eighth of a side.

    Classifier-free `guidance` runs the transformer on twice the batch, with the text and without. The decoder takes a
    latent frame at a time, as the authors' does to save memory; the first is taken to cost as much as the others.
    """
    latent: dict[str, Any] = {"frames": (frames - 1) // 4 + 1, "height": height // 8, "across": across // 8}
    inside = batch * (2 if guidance else 1)
    encoder = text_to_text.build(inside, format, **text)
    denoising = video_transformer.build(inside, format, **{**denoiser, **latent})
    decoder = video_decoder.build(batch, format, **{**latent, "frames": 1}, first=False)
    return Model("video-diffusion", (Part(encoder), Part(denoising, steps), Part(decoder, latent["frames"])))
