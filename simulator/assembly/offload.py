"""From a scenario's `attention_offload` to the pool that a deployment attends on."""

from __future__ import annotations

from simulator.engine.attention_offload import AttentionPool
from simulator.engine.memory import RUNTIME_BYTES
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.links import link
from simulator.hardware.overheads import overheads
from simulator.hardware.relatives import calibrations_for
from simulator.scenario import Scenario
from simulator.specs.combining import refuse_together


def attention_pool_of(scenario: Scenario) -> AttentionPool | None:
    """The pool of one replica, None where the cache is on its own devices.

    Raises `InputError` for an unknown device or link, and beside what cannot be combined with it.
    """
    spec = scenario.attention_offload
    if spec is None:
        return None
    refuse_together(
        "attention_offload", scenario, "speculation", "kv_cache.tiers", "kv_cache.blocks", "shared_prefix_tokens",
        "execution",
    )  # fmt: skip
    over = link(spec.link)
    if spec.device is None:
        assert spec.capacity_gb is not None
        assert spec.bandwidth_gb_s is not None
        return AttentionPool(
            spec.devices, spec.capacity_gb * 1e9, over, None, spec.bandwidth_gb_s * 1e9, spec.streamed, spec.overlap,
            spec.watts or 0.0, spec.price_per_device_hour,
        )  # fmt: skip
    on = device(spec.device)
    own = overheads(scenario.engine)
    law = TimingLaw(
        on, calibrations_for(on, backend=own.engine, file=spec.calibration), fabric_of(on, None), own.overlap
    )
    free = on.memory_capacity * spec.memory_utilization - RUNTIME_BYTES
    capacity = free if spec.capacity_gb is None else min(free, spec.capacity_gb * 1e9)
    price = on.price if spec.price_per_device_hour is None else spec.price_per_device_hour
    return AttentionPool(spec.devices, capacity, over, law, overlap=spec.overlap, price=price)
