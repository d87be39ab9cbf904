"""A training step as tables, the same on a terminal and on a page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulator.report.training.communication import communication_rows
from simulator.report.training.long_run import run_tables
from simulator.report.training.network import network_line
from simulator.report.training.offload import copy_rows, offload_tables
from simulator.report.training.parameter_server import served_rows
from simulator.report.training.sites import sites_rows
from simulator.report.training.stages import devices_by_kind, stage_rows
from simulator.report.training.stragglers import straggler_rows
from simulator.report.training.zeroth_order import zeroth_order_rows

Table = tuple[str, list[dict[str, str]]]


def training_title(summary: dict[str, Any]) -> str:
    """One line that says what trains on what."""
    layout = summary["layout"]
    usual = f"{layout['devices']:,} x {layout['device']}"
    return f"{summary['model']['name']} on {devices_by_kind(summary['stages']) if 'stages' in summary else usual}"


def training_tables(summary: dict[str, Any]) -> list[Table]:
    """The headline figures, the step's time by part, memory of a few stages, and all else that there is."""
    return [
        (training_title(summary), headline_rows(summary)),
        ("a step of the stage that computes longest", part_rows(summary)),
        *movement_tables(summary, ends_and_middle),
        ("memory (GB a device)", memory_rows(summary, ends_and_middle(len(summary["memory_gb"])))),
        *tables_beyond_the_step(summary),
    ]


def headline_rows(summary: dict[str, Any]) -> list[dict[str, str]]:
    """Figure and value of each headline figure, in reading order."""
    rows = [{"figure": f"largest {what}", "value": f"{size:,}"} for what, size in summary.get("largest", {}).items()]
    counted = "samples" if "samples_per_s" in summary else "tokens"
    rows += [
        {"figure": _step_of(summary), "value": f"{summary['step_s']:,.3f} s"},
        {"figure": _without_server(counted, summary), "value": f"{summary['tokens_per_s']:,.0f} /s"},
        {"figure": "share of peak by the model's FLOPs (MFU)", "value": f"{summary['mfu']:.1%}"},
        {"figure": "share of peak with recomputation (HFU)", "value": f"{summary['hfu']:.1%}"},
        {"figure": "pipeline bubble", "value": f"{summary['bubble_share']:z.1%}"},
        {"figure": "attention in computing", "value": f"{summary['attention_share']:.1%}"},
        *_expert_rows(summary.get("experts")),
        *_sequence_rows(summary.get("sequences")),
        {"figure": _paid("energy", summary), "value": f"{summary['energy_kwh']:,.4g} kWh a step"},
    ]
    if summary.get("network") is not None:
        rows.append({"figure": "network", "value": network_line(summary["network"])})
    if summary["cost_usd"] is not None:
        cost = summary["cost_per_million_tokens_usd"]
        rows.append({"figure": _paid("cost", summary), "value": f"{cost:,.3f} USD a million {counted}"})
    return rows


def _step_of(summary: dict[str, Any]) -> str:
    """What the step is of: replicas that reduce their gradients, even where a parameter server is to take that over."""
    return _without_server("step", summary)


def _without_server(what: str, summary: dict[str, Any]) -> str:
    return f"{what} of replicas without the server" if "parameter_server" in summary else what


def _paid(what: str, summary: dict[str, Any]) -> str:
    """Energy and cost go by the pace that workers have with their server, where there is one."""
    return f"{what} with the server" if "parameter_server" in summary else what


def part_rows(summary: dict[str, Any]) -> list[dict[str, str]]:
    """Seconds of a step by part, and their shares."""
    total = summary["step_s"]
    return [
        {"part": name.replace("_", " "), "seconds": f"{value:z,.4f}", "share": f"{value / total:z.1%}"}
        for name, value in summary["breakdown_s"].items()
    ]


def memory_rows(summary: dict[str, Any], stages: list[int]) -> list[dict[str, str]]:
    """GB of one device of some of the stages, by what takes them."""
    return [
        {"stage": str(s)} | {name.replace("_", " "): f"{v:,.2f}" for name, v in summary["memory_gb"][s].items()}
        for s in stages
    ]


def ends_and_middle(stages: int) -> list[int]:
    """The first, a middle and the last of so many stages."""
    return sorted({0, stages // 2, stages - 1})


def movement_tables(summary: dict[str, Any], shown: Callable[[int], list[int]]) -> list[Table]:
    """What a step sends, offloads and copies, where it does; of copies the stages `shown` of so many."""
    tables: list[Table] = []
    if "communication" in summary:
        tables.append(("communication of a device", communication_rows(summary["communication"])))
    if "offload" in summary:
        tables += offload_tables(summary["offload"])
    if "copies" in summary:
        tables.append(("activations of one device that wait in the host", copy_rows(summary["copies"], shown)))
    return [(title, rows) for title, rows in tables if rows]


def tables_beyond_the_step(summary: dict[str, Any]) -> list[tuple[str, list[dict[str, str]]]]:
    """Titles and rows of what a step does not show: notes, stragglers, a long run, sites, scalars, a server."""
    tables = []
    if "notes" in summary:
        tables.append(("notes", [{"": note} for note in summary["notes"]]))
    if "stages" in summary:
        tables.append(("stages", stage_rows(summary["stages"])))
    if "stragglers" in summary:
        tables.append(("with stragglers", straggler_rows(summary["stragglers"])))
    if "run" in summary:
        tables += run_tables(summary["run"])
    if "sites" in summary:
        tables.append(("sites", sites_rows(summary["sites"])))
    if "zeroth_order" in summary:
        tables.append(("without a backward pass", zeroth_order_rows(summary["zeroth_order"])))
    if "parameter_server" in summary:
        tables.append(("with a parameter server", served_rows(summary["parameter_server"])))
    return tables


def _expert_rows(experts: dict[str, Any] | None) -> list[dict[str, str]]:
    if experts is None:
        return []
    return [
        {"figure": "experts of a layer, both passes", "value": f"{experts['layer_s'] * 1e3:,.3f} ms"},
        {"figure": "waiting for all-to-all in it", "value": f"{experts['all_to_all_share']:.1%}"},
        {"figure": "busiest rank's load over the mean", "value": f"{experts['imbalance']:.2f}"},
        {"figure": "visits dropped", "value": f"{experts['dropped_share']:.1%}"},
    ]


def _sequence_rows(sequences: dict[str, Any] | None) -> list[dict[str, str]]:
    if sequences is None:
        return []
    ranks = ", ".join(f"{count} on {ranks}" for ranks, count in sequences["micro_batches_by_ranks"].items())
    away = sequences.get("offloaded_micro_batches")
    left = "" if away is None else f"{away} micro-batches, up to {sequences['offloaded_gb_per_device']:.1f} GB a device"
    return [
        {"figure": "micro-batches by ranks that share them", "value": ranks},
        *([{"figure": "activations that leave the devices", "value": left}] if left else []),
        {"figure": "busiest rank over the mean", "value": f"{sequences['imbalance_of_ranks']:.2f}"},
    ]
