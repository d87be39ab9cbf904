"""A plan of layouts as tables, the same on a terminal and on a page."""

from __future__ import annotations

from typing import Any

Table = tuple[str, list[dict[str, str]]]

SHORT = {"sequence_parallel": "sequence", "global_size": "batch"}


def training_plan_tables(summary: dict[str, Any]) -> list[Table]:
    """Titles and rows: the best layouts, why the others lose, how far the search went, and what nearly fits."""
    tables: list[Table] = [(f"the quickest layouts on {summary['layout']['devices']:,} devices", best_rows(summary))]
    if summary["step_s"] != summary["best"][0]["step_s"]:
        tables.append(("the first one as it really runs", [{"step (s)": f"{summary['step_s']:,.3f}"}]))
    tables.append(("why others lose: the best layout with each value", loss_rows(summary)))
    search = summary["search"]
    rows = [
        {"": reason, "combinations": f"{count:,}"}
        for reason, count in [
            *search["left_out"].items(),
            ("do not fit into memory", search["too_large"]),
            ("fit", search["fit"]),
            ("of these simulated; none of the others can be quicker than the last one shown", search["simulated"]),
        ]
    ]
    tables.append((f"{search['combinations']:,} combinations", rows))
    large = [
        choice_cells(x["choice"]) | {"at least (GB)": f"{x['memory_gb']:,.1f}"} for x in search["leanest_too_large"]
    ]
    room = "" if summary["capacity_gb"] is None else f" into {summary['capacity_gb']:,.1f} GB"
    return [*tables, (f"the leanest that do not fit{room}", large)] if large else tables


def best_rows(summary: dict[str, Any]) -> list[dict[str, str]]:
    """One row a layout: its choices, its step by part, and the memory of its fullest device."""
    rows = []
    for best in summary["best"]:
        parts = {f"{part} (s)": f"{best['parts_s'].get(part, 0.0):,.3f}" for part in ("bubble", "links")}
        rows.append(
            choice_cells(best["choice"])
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


def best_sentences(summary: dict[str, Any]) -> list[str]:
    """Why the best is the best: of each field, what its next best value would cost."""
    best, said = summary["best"][0], []
    for field in dict.fromkeys(x["field"] for x in summary["why_others_lose"]):
        rows = [x for x in summary["why_others_lose"] if x["field"] == field]
        quick = [x for x in rows if x["step_s"] is not None and not x["why"]]
        own = next((x for x in quick if x["value"] == best["choice"][field]), quick[0])
        others = [x for x in rows if x is not own and x["step_s"] is not None]
        says = f"{field} {_shown(own['value'])}:"
        if not others:
            said.append(f"{says} no other value of those tried fits or can be laid out.")
            continue
        other = min(others, key=lambda x: float(x["step_s"]))
        more = f"takes {other['step_s'] / best['step_s'] - 1.0:.1%} more ({other['why']})"
        said.append(
            f"{says} with {_shown(other['value'])} the quickest layout {more if other['why'] else 'is as quick'}."
        )
    return said


def short(name: str) -> str:
    """The last part of a field's dotted name, for a column."""
    last = name.rpartition(".")[2]
    return SHORT.get(last, last)


def _stages_alike(each: dict[str, Any]) -> str:
    """Stages in a row that are alike, by number, tensor-parallel width if they have one of their own, and device."""
    width = each.get("tensor")
    return f"{each.get('count', 1)} x {'' if width is None else f'{width} '}{each.get('device') or 'usual'}"


def choice_cells(choice: dict[str, Any]) -> dict[str, str]:
    """The values of the searched fields, as cells under short names."""
    return {short(name): _shown(value) for name, value in choice.items()}


def _shown(value: Any) -> str:
    if isinstance(value, dict) and "of" in value:
        return " + ".join(map(_stages_alike, value["of"]))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
