"""From the swapping of a scenario and a deployment to what the engine copies with."""

from __future__ import annotations

from simulator.engine.deployment import Deployment
from simulator.engine.swapping import SwapSetup
from simulator.errors import InputError
from simulator.hardware.links import link
from simulator.scenario import Scenario
from simulator.specs.combining import refuse_together
from simulator.workloads.parallelism import kv_bytes_per_token, stage_layers

# vLLM's default `--swap-space`, bytes a device.
SWAP_SPACE = 4 * 2**30


def swap_setup(scenario: Scenario, deployment: Deployment) -> SwapSetup | None:
    """What swapping is built from, None without it.

    Raises `InputError` beside what keeps or moves the cache in another way, and where not one block fits.
    """
    spec = scenario.kv_cache.swap
    if spec is None:
        return None
    refuse_together(
        "kv_cache.swap", scenario, "speculation", "partition", "adapters", "pairing", "disaggregation.roles",
        "attention_offload", "experts.offload", "kv_cache.keep_share", "failures", "parallel.data above 1",
    )  # fmt: skip
    parallel, size = deployment.parallel, scenario.kv_cache.block_size
    stages = range(parallel.pipeline)
    each = [kv_bytes_per_token(deployment.model, parallel, deployment.precision, s) * size for s in stages]
    whole = sum(each) * parallel.tensor
    capacity = SWAP_SPACE * parallel.devices if spec.capacity_gb is None else spec.capacity_gb * 1e9
    if capacity < whole:
        raise InputError(f"kv_cache.swap.capacity_gb: a block takes {whole / 1e9:.3g} GB: raise it")
    over = link(spec.link) if spec.link is not None else deployment.fabric.host
    return SwapSetup(
        blocks=int(capacity // whole),
        block_bytes=max(each),
        host_bytes=whole,
        tensors=max(_tensors(deployment, stage) for stage in stages),
        bandwidth=over.bandwidth * over.efficiency,
        call_latency=over.latency if spec.call_us is None else spec.call_us / 1e6,
        group_blocks=spec.group_blocks,
        asynchronous=spec.asynchronous,
        reuse=spec.reuse,
    )


def _tensors(deployment: Deployment, stage: int) -> int:
    """Tensors that the layers of a stage keep their cache in: keys and values, or one of latents."""
    layers = stage_layers(deployment.model, deployment.parallel, stage)
    return sum(2 if layer.attention.latent is None else 1 for layer in layers)
