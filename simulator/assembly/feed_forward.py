"""From a scenario's `feed_forward` to the pool that a deployment's layers are fed forward on."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.engine.feed_forward import FeedForwardPool
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.links import link
from simulator.hardware.node import node
from simulator.hardware.overheads import overheads
from simulator.hardware.relatives import calibrations_for
from simulator.scenario import Scenario
from simulator.specs.combining import refuse_together
from simulator.workloads.dtypes import dtype


def feed_forward_pool_of(scenario: Scenario, factors: Mapping[str, float] | None = None) -> FeedForwardPool | None:
    """The pool of one replica, None where its own devices feed forward; `factors` lengthens kernels by family.

    Raises `InputError` for an unknown device or link, and beside what cannot be combined with it.
    """
    spec = scenario.feed_forward
    if spec is None:
        return None
    refuse_together(
        "feed_forward", scenario, "attention_offload", "partition", "speculation", "execution", "shared_prefix_tokens",
        "kv_cache.keep_share", "experts.offload", "experts.local_share",
    )  # fmt: skip
    alike = spec.device is None
    on = device(spec.device or scenario.device)
    engine = overheads(scenario.engine)
    file = spec.calibration or (scenario.calibration if alike else None)
    inside = (scenario.node if alike else None) or on.node
    law = TimingLaw(
        on,
        calibrations_for(on, backend=engine.engine, file=file),
        fabric_of(on, node(inside) if inside else None),
        engine.overlap,
        factors=factors or {},
    )
    price = spec.price_per_device_hour
    if price is None and alike:
        price = scenario.price_per_device_hour
    return FeedForwardPool(
        law,
        spec.devices,
        spec.expert,
        link(spec.link),
        spec.micro_batches,
        None if spec.weights is None else dtype(spec.weights),
        spec.memory_utilization,
        on.price if price is None else price,
    )
