"""From a scenario to fine-tuning on its replicas, on further ones, or on a part of each device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from simulator.assembly.finetuning_memory import adapter_of
from simulator.assembly.pools import Pool, deployment_of
from simulator.engine.deployment import Deployment
from simulator.engine.finetuning import Finetuning, FinetuningPool, FinetuningRecord
from simulator.engine.finetuning_progress import FinetuningProgress
from simulator.engine.finetuning_timer import FinetuningTimer
from simulator.hardware.device import device
from simulator.hardware.overheads import StepOverheads
from simulator.hardware.partition import split
from simulator.policies.finetuning import FinetuningPolicy, Idle, NoFinetuning
from simulator.policies.registry import build_policy
from simulator.scenario import Scenario
from simulator.specs.combining import refuse_together
from simulator.specs.finetuning import FinetuningSpec

LEAST_BLOCKS = 2  # the fewest that a cache may have: one is a placeholder


def timer_of(spec: FinetuningSpec, deployment: Deployment) -> FinetuningTimer:
    """Seconds of fine-tuning work on a replica of this deployment."""
    d = deployment
    return FinetuningTimer(
        d.timer, d.law, d.model, d.parallel, d.precision, adapter_of(spec), pruned=spec.prune_activations
    )


@dataclass(frozen=True, slots=True)
class FinetuningSetup:
    """How replicas fine-tune: `beside` builds it for those that serve (None: not at all), `pool` does nothing else."""

    record: FinetuningRecord
    beside: Callable[[], Finetuning] | None
    pool: FinetuningPool | None


def finetuning_of(scenario: Scenario, serving: Deployment, apart: Pool | None) -> FinetuningSetup | None:
    """Fine-tuning as a scenario describes it, None without. Raises `InputError` for what it cannot stand beside.

    `apart` are the replicas that do nothing else, on devices of their own or on a part of those that serve.
    """
    spec = scenario.finetuning
    if spec is None:
        return None
    refuse_together(
        "finetuning", scenario, "speculation", "partition", "attention_offload", "feed_forward", "power", "failures",
        "autoscaling",
    )  # fmt: skip
    record = FinetuningRecord()

    def builder(deployment: Deployment, policy: Callable[[], FinetuningPolicy]) -> Callable[[], Finetuning]:
        timer = timer_of(spec, deployment)

        def build() -> Finetuning:
            layers = len(deployment.model.layers)
            progress = FinetuningProgress(spec.sequence_tokens, layers, spec.window_tokens, spec.sequences_per_step)
            return Finetuning(timer, policy(), progress, record)

        return build

    def policy() -> FinetuningPolicy:
        built: FinetuningPolicy = build_policy(
            "finetuning", spec.policy, spec.options, objective_tpot_ms=scenario.objectives.tpot_ms
        )
        return built

    beside = None if isinstance(policy(), NoFinetuning) else builder(serving, policy)
    pool = None if apart is None else FinetuningPool(builder(apart.deployment, Idle), apart.replicas, apart.first)
    return FinetuningSetup(record, beside, pool)


def finetuning_pool(
    scenario: Scenario, pools: tuple[Pool, ...], factors: Mapping[str, float] | None, host: StepOverheads | None
) -> Pool | None:
    """The replicas that only fine-tune, which keep no cache, or a part of each device beside; None without either."""
    spec = scenario.finetuning
    if spec is None or (not spec.dedicated_replicas and spec.spatial is None):
        return None
    on, share = None, 1.0
    if spec.spatial is not None:
        share = spec.spatial.units
        _, on = split(device(scenario.device), share, spec.spatial.saturating_units, spec.spatial.traffic)
    alone = scenario.model_copy(
        update={
            "replicas": spec.dedicated_replicas or scenario.replicas,
            "kv_cache": scenario.kv_cache.model_copy(update={"blocks": LEAST_BLOCKS}),
            "disaggregation": None,
            "finetuning": spec.model_copy(update={"policy": "idle", "options": {}, "spatial": None}),
        }
    )
    return Pool(alone, deployment_of(alone, factors, host, on), sum(pool.replicas for pool in pools), share)
