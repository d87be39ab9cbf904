"""Headline figures of a serving run, from its columns. Names carry units, and no figure is NaN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator.report.serving.facts import deployment_facts
from simulator.report.serving.finetuning import finetuning_figures
from simulator.report.serving.fleet import fleet_figures
from simulator.report.serving.power import power_figures
from simulator.report.serving.requests import latencies, request_figures
from simulator.report.serving.resources import resources

if TYPE_CHECKING:
    from simulator.experiment import Result


def summarise(result: Result) -> dict[str, Any]:
    """The summary that is printed and written to `summary.json`."""
    c, summary = result.request_columns, request_figures(result)
    if result.speculation is not None:
        summary["speculation"] = _speculation(result, result.speculation.totals)
    if result.finetuning is not None:
        summary["finetuning"] = finetuning_figures(result, result.finetuning)
    below = {"kv_tiers": result.kv_tiers, "swapping": result.swapping, "adapters": result.adapters}
    summary |= {name: figures for name, figures in below.items() if figures}
    if len(result.iteration_columns["start_s"]):
        # Fine-tuning begins with the clock, requests with the first arrival.
        covered = summary["makespan_s"] if result.finetuning is None else float(c["finish_s"].max())
        tokens = float(c["prompt_tokens"].sum()), float(c["output_tokens"].sum())
        summary |= resources(result, max(covered, 1e-12), *tokens)
    if result.handoff is not None:
        summary["kv_transfer"] = _transfer(result)
    if result.split is not None:
        summary["split"] = result.split.figures()
    if result.migrations is not None:
        summary["migration"] = result.migrations.figures()
    if result.power is not None:
        summary["power"] = power_figures(result, result.power, latencies(result))
    if result.roles is not None:
        summary["roles"] = result.roles.figures()
    if result.pairs is not None:
        summary["pairing"] = result.pairs.figures()
    if result.fleet is not None:
        summary["fleet"] = fleet_figures(result, result.fleet)
    summary["deployment"] = deployment_facts(result)
    return summary


def _speculation(result: Result, totals: dict[str, float]) -> dict[str, Any]:
    """Figures of drafts and verifications; a step is one sequence's share of an iteration."""
    drafter, spec = result.deployment.drafter, result.scenario.speculation
    assert drafter is not None
    drafted, steps = totals["draft_tokens"], max(totals["decode_steps"], 1.0)
    return {
        "policy": spec.policy,
        "drafter": drafter.name,
        "tokens_per_step": totals["decode_tokens"] / steps,
        "drafted_tokens_per_step": drafted / steps,
        "acceptance_rate": totals["accepted_tokens"] / max(totals["examined_tokens"], 1.0),
        "accepted_share_of_drafted": totals["accepted_tokens"] / max(drafted, 1.0),
        "written_ahead_in_vain": totals["wasted_draft_tokens"],
        "draft_share_of_time": totals["draft_s"] / max(totals["seconds"], 1e-12),
        "drafter_memory_gb": (drafter.memory.weights + drafter.memory.kv_fixed) / 1e9,
        "drafter_devices": drafter.devices * result.scenario.replicas,
    }


def _transfer(result: Result) -> dict[str, float]:
    """What the hand-over of prompts to the decode pool moved."""
    moved = result.handoff
    assert moved is not None
    return {
        "transfers": moved.count,
        "total_gb": moved.bytes / 1e9,
        "mean_ms": moved.busy_seconds / max(moved.count, 1) * 1e3,
    }
