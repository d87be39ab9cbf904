"""From a scenario's `speculation` to what its engine drafts, verifies and accepts with."""

from __future__ import annotations

from functools import partial

from simulator.engine.deployment import Deployment
from simulator.engine.speculation import Speculation, SpeculationRecord, check_speculation
from simulator.engine.streams import stream
from simulator.policies.registry import build_policy
from simulator.policies.speculation.drafters import DraftSource
from simulator.policies.speculation.draws import PositionDraws
from simulator.policies.speculation.plan import SpeculationPolicy
from simulator.scenario import Scenario
from simulator.specs.combining import refuse_together
from simulator.specs.speculation import SpeculationSpec


def draft_source(spec: SpeculationSpec) -> DraftSource | None:
    """What writes drafts, or None without speculation."""
    if spec.policy == "none":
        return None
    source: DraftSource = build_policy("draft", spec.draft.source, spec.draft.options)
    return source


def speculation_of(scenario: Scenario, deployment: Deployment, *, keep_iterations: bool = True) -> Speculation | None:
    """Speculation as a scenario describes it, None where it is off. Raises `InputError` if it cannot be so."""
    spec, drafter = scenario.speculation, deployment.drafter
    if drafter is None:
        return None
    refuse_together("speculation", scenario, "disaggregation", "partition", "execution", "kv_cache.tiers")
    streams = partial(stream, scenario.seed)

    def policy() -> SpeculationPolicy:
        built: SpeculationPolicy = build_policy("speculation", spec.policy, spec.options, streams=streams)
        return built

    law = build_policy("acceptance", spec.acceptance.law, spec.acceptance.options, streams=streams)
    check_speculation(
        policy(),
        drafter,
        deployment.parallel,
        asynchronous=spec.asynchronous,
        in_flight=spec.in_flight,
        max_num_seqs=scenario.batching.max_num_seqs,
    )
    draws = PositionDraws(streams, "acceptance")
    record = SpeculationRecord(iterations=keep_iterations)
    return Speculation(policy, drafter, law, draws, record, spec.asynchronous, spec.in_flight)
