"""From a scenario's fields to what acts on its cluster."""

from __future__ import annotations

from simulator.assembly.roles import roles_of
from simulator.engine.autoscaling import Autoscaling
from simulator.engine.control import Control
from simulator.engine.deployment import Deployment, kv_transfer
from simulator.engine.failures import Failures, Outage
from simulator.engine.migration import Migration
from simulator.engine.power import PowerCapping
from simulator.errors import InputError
from simulator.policies.admission import Admission, All
from simulator.policies.autoscaling import Autoscaler, Fixed
from simulator.policies.migration import MigrationPolicy, NoMigration
from simulator.policies.registry import build_policy
from simulator.scenario import Scenario
from simulator.specs.combining import refuse_together
from simulator.specs.control import ColdStartSpec

# Sequential reads of a PCIe 4.0 data-centre drive: Samsung PM9A3 datasheet, 6,900 MB/s.
DISK_BYTES_PER_S = 6.9e9


def control_of(scenario: Scenario, deployment: Deployment, power: PowerCapping | None = None) -> Control | None:
    """What acts on the scenario's cluster besides its router, `power` included, or None if nothing does."""
    admission = _admission(scenario)
    autoscaling = _autoscaling(scenario, deployment)
    failures = _failures(scenario)
    if failures is not None:
        refuse_together("failures", scenario, "speculation", "kv_cache.tiers")
    migration = _migration(scenario, deployment)
    control = Control(admission, autoscaling, failures, migration, power, roles_of(scenario))
    return None if control == Control() else control


def _admission(scenario: Scenario) -> Admission | None:
    built: Admission = build_policy(
        "admission",
        scenario.admission.policy,
        scenario.admission.options,
        objective_ttft_ms=scenario.objectives.ttft_ms,
    )
    return None if isinstance(built, All) else built


def _autoscaling(scenario: Scenario, deployment: Deployment) -> Autoscaling | None:
    spec = scenario.autoscaling
    policy: Autoscaler = build_policy("autoscaler", spec.policy, spec.options)
    if isinstance(policy, Fixed):
        return None
    return Autoscaling(
        policy=policy,
        least=spec.min_replicas,
        most=spec.max_replicas or scenario.replicas,
        interval_s=spec.every_s,
        start_s=cold_start_seconds(spec.cold_start, deployment),
        shrink_delay_s=spec.shrink_delay_s,
    )


def cold_start_seconds(spec: ColdStartSpec, deployment: Deployment) -> float:
    """Seconds from the decision to start a replica until it serves."""
    share = deployment.memory.weights
    whole = share * deployment.parallel.devices
    if deployment.pool_memory is not None:
        share = max(share, deployment.pool_memory.weights)
        whole += deployment.pool_memory.weights * (deployment.devices - deployment.parallel.devices)
    if spec.gb_per_s is not None:
        return spec.fixed_s + whole / (spec.gb_per_s * 1e9)
    if spec.weights_from == "disk":
        return spec.fixed_s + whole / DISK_BYTES_PER_S
    over = deployment.fabric.between if spec.weights_from == "network" else deployment.fabric.host
    return spec.fixed_s + over.latency + share / (over.bandwidth * over.efficiency)


def _migration(scenario: Scenario, deployment: Deployment) -> Migration | None:
    spec = scenario.migration
    policy: MigrationPolicy = build_policy("migration", spec.policy, spec.options)
    if isinstance(policy, NoMigration):
        return None
    refuse_together(
        f"migration {scenario.migration.policy}", scenario, "speculation", "disaggregation", "partition",
        "kv_cache.tiers", "queue", "failures", "autoscaling", "batching static", "parallel.pipeline above 1",
    )  # fmt: skip
    transfer = kv_transfer(deployment, deployment, over=spec.link)
    if not transfer.latency:
        raise InputError("migration.link has no latency: name a link that takes time, as every real one does")
    return Migration(policy, spec.every_s, transfer)


def _failures(scenario: Scenario) -> Failures | None:
    spec = scenario.failures
    if not spec.any:
        return None
    return Failures(
        mtbf_s=spec.mtbf_s,
        mttr_s=spec.mttr_s,
        node_mtbf_s=spec.node_mtbf_s,
        replicas_per_node=spec.replicas_per_node,
        shape=spec.weibull_shape,
        outages=tuple(Outage(o.at_s, o.repair_s, tuple(dict.fromkeys(o.replicas))) for o in spec.outages),
        seed=scenario.seed,
    )
