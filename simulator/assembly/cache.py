"""From the cache tiers of a scenario and a deployment to what the engine loads from."""

from __future__ import annotations

from functools import partial

from simulator.engine.deployment import Deployment
from simulator.engine.kv_loading import TierSetup
from simulator.engine.tiers import Encoding, TierConfig
from simulator.errors import InputError
from simulator.hardware.storage import Storage, default_storage
from simulator.policies.registry import build_policy
from simulator.scenario import Scenario
from simulator.specs.cache import TierSpec
from simulator.workloads.parallelism import Parallelism, kv_bytes_per_token


def tier_setup(scenario: Scenario, deployment: Deployment) -> TierSetup | None:
    """What loading is built from, None without tiers.

    Raises `InputError` for an unknown policy, and for a tier of one's own that lacks a figure.
    """
    cache = scenario.kv_cache
    if not cache.tiers:
        return None
    reuse = partial(build_policy, "reuse", cache.reuse, cache.reuse_options)
    reuse()
    return TierSetup(
        tiers=tuple(_config(spec, scenario, deployment) for spec in cache.tiers),
        reuse=reuse,
        bytes_per_token=kv_bytes_per_token(deployment.model, Parallelism(), deployment.precision),
        flops=partial(prompt_flops, deployment),
        layers=len(deployment.model.layers),
        layerwise=cache.layerwise,
        when_faster=cache.loading == "when-faster",
    )


def prompt_flops(deployment: Deployment, tokens: int) -> float:
    """FLOPs of a prompt of so many tokens, on one device of each stage."""
    timer = deployment.timer
    total = 0.0
    for stage in timer.stages:
        total += stage.token_flops[1] * tokens
        for span, each in zip(timer.spans, stage.prompt_flops, strict=True):
            total += each * span.pairs(0, tokens)
    return total


def _config(spec: TierSpec, scenario: Scenario, deployment: Deployment) -> TierConfig:
    usual = default_storage(spec.name, deployment.device, deployment.fabric, scenario.node, deployment.parallel.devices)
    capacity = None if usual is None else usual.capacity
    if spec.capacity_gb is not None:
        capacity = spec.capacity_gb * 1e9
    if capacity is None:
        raise InputError(f"kv_cache.tiers: tier {spec.name} lacks capacity_gb: add it")
    eviction = partial(build_policy, "eviction", spec.eviction, {})
    eviction()
    read, write, latency = _rates(spec, usual)
    return TierConfig(
        name=spec.name,
        capacity=int(capacity),
        read=read,
        write=write,
        latency=latency,
        eviction=eviction,
        encodings=tuple(Encoding(e.ratio, e.decode_gb_s * 1e9) for e in spec.compression) or (Encoding(),),
        piece_tokens=spec.piece_tokens,
        deadline=None if spec.deadline_ms is None else spec.deadline_ms / 1e3,
        write_buffer=spec.write_buffer_gb * 1e9,
        shared=spec.name == "remote" if spec.shared is None else spec.shared,
    )


def _rates(spec: TierSpec, usual: Storage | None) -> tuple[float, float, float]:
    """Bytes/s to read and to write, and seconds of latency."""
    if usual is None and (spec.bandwidth_gb_s is None or spec.latency_us is None):
        raise InputError(
            f"kv_cache.tiers: tier {spec.name} lacks bandwidth_gb_s or latency_us: add them, "
            "or name it host, nvme or remote, which have defaults"
        )
    read = usual.read if spec.bandwidth_gb_s is None and usual else (spec.bandwidth_gb_s or 0.0) * 1e9
    write = usual.write if spec.bandwidth_gb_s is None and usual else read
    if spec.write_bandwidth_gb_s is not None:
        write = spec.write_bandwidth_gb_s * 1e9
    latency = usual.latency if spec.latency_us is None and usual else (spec.latency_us or 0.0) / 1e6
    return read, write, latency
