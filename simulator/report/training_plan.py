"""A plan of layouts as tables and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulator.planning.training.plan import TrainingAnswer
from simulator.report.files import write_json, write_text
from simulator.report.table import print_rows

SHORT = {"sequence_parallel": "sequence", "global_size": "batch"}


def write_training_plan(folder: Path, answer: TrainingAnswer) -> None:
    """`plan.json`, and `best.yaml`, which `simulator train` repeats."""
    import yaml

    write_json(folder / "plan.json", answer.summary)
    chosen = answer.chosen.scenario
    values = {"kind": "training", **chosen.model_dump(exclude_defaults=True), "layout": chosen.layout.model_dump()}
    write_text(folder / "best.yaml", yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def print_training_plan(summary: dict[str, Any]) -> None:
    """The best layouts, why the others lose, and how far the search went."""
    print_rows(f"the quickest layouts on {summary['layout']['devices']:,} devices", best_rows(summary))
    if summary["step_s"] != summary["best"][0]["step_s"]:
        print_rows("the first one as it really runs", [{"step (s)": f"{summary['step_s']:,.3f}"}])
    print_rows("why others lose: the best layout with each value", loss_rows(summary))
    search = summary["search"]
    rows = [
        {"combinations": f"{count:,}", "": reason}
        for reason, count in [
            *search["left_out"].items(),
            ("do not fit into memory", search["too_large"]),
            ("fit", search["fit"]),
            ("of these simulated; none of the others can be quicker than the last one shown", search["simulated"]),
        ]
    ]
    print_rows(f"{search['combinations']:,} combinations", rows)


def best_rows(summary: dict[str, Any]) -> list[dict[str, str]]:
    """One row a layout: its choices, its step by part, and the memory of its fullest device."""
    rows = []
    for best in summary["best"]:
        choice = {short(name): _shown(value) for name, value in best["choice"].items()}
        parts = {f"{part} (s)": f"{best['parts_s'].get(part, 0.0):,.3f}" for part in ("bubble", "links")}
        rows.append(
            choice
            | {"step (s)": f"{best['step_s']:,.3f}", "MFU": f"{best['mfu']:.1%}"}
            | parts
            | {"memory (GB)": f"{best['memory_gb']['total']:,.1f}"}
        )
    return rows


def loss_rows(summary: dict[str, Any]) -> list[dict[str, str]]:
    """One row a value of a field: the step of the best layout that has it, against the best of all, and why."""
    least = summary["best"][0]["step_s"]
    rows = []
    for loss in summary["why_others_lose"]:
        seconds = loss["step_s"]
        rows.append(
            {
                "field": loss["field"],
                "value": _shown(loss["value"]),
                "step (s)": "-" if seconds is None else f"{seconds:,.3f}",
                "more": "-" if seconds is None else f"{seconds / least - 1.0:+.1%}",
                "why": loss["why"],
            }
        )
    return rows


def short(name: str) -> str:
    """The last part of a field's dotted name, for a column."""
    last = name.rpartition(".")[2]
    return SHORT.get(last, last)


def _stages_alike(each: dict[str, Any]) -> str:
    """Stages in a row that are alike, by number, tensor-parallel width if they have one of their own, and device."""
    width = each.get("tensor")
    return f"{each.get('count', 1)} x {'' if width is None else f'{width} '}{each.get('device') or 'usual'}"


def _shown(value: Any) -> str:
    if isinstance(value, dict) and "of" in value:
        return " + ".join(map(_stages_alike, value["of"]))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
