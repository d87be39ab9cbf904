"""Text to image by latent diffusion: text encoders once, the denoising network in each step, the decoder once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.families import latent_decoder, latent_unet, transformer
from simulator.workloads.graphs.graph import Model, Part
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    text: Sequence[Mapping[str, Any]],
    denoiser: Mapping[str, Any],
    resolution: int = 512,
    steps: int = 50,
    evaluations: int = 1,
    guidance: bool = True,
    decoder: bool = True,
) -> Model:
    """`text` and `denoiser` are options of encoders and of the network; latents are an eighth of the `resolution`.

    A sampler of higher order evaluates the network several times a step (`evaluations`); classifier-free `guidance`
    runs it on twice the batch, with the text and without. Without `decoder` the answer is latents.
    """
    latent = resolution // 8
    inside = batch * (2 if guidance else 1)
    encoders = [Part(transformer.build(inside, format, **options)) for options in text]
    unet = Part(latent_unet.build(inside, format, latent=latent, **denoiser), steps * evaluations)
    last = [Part(latent_decoder.build(batch, format, latent=latent))] if decoder else []
    return Model("latent-diffusion", (*encoders, unet, *last))
