"""Figures of a long training run: what share of it was progress, where the rest went, and its checkpoints."""

from __future__ import annotations

from typing import Any

from simulator.assembly.training_run import RunResult
from simulator.engine.training.long_run.checkpoints import daly_interval, expected_goodput, young_interval
from simulator.report.amounts import count_text

HOUR = 3600.0


def summarise_run(result: RunResult, devices: int, tokens: int, price: float | None) -> dict[str, Any]:
    """Plain data. `goodput` is the share of time that a run without failures and checkpoints would have needed.

    `tokens` are those of a step, `price` USD a device and hour; spares are paid for too.
    """
    outcome = result.outcome
    hours = outcome.seconds / HOUR
    useful = outcome.batches * result.step_seconds
    lost = {name: s / HOUR for name, s in outcome.spent.items() if name != "training"}
    lost["degraded"] = max(0.0, outcome.spent["training"] - useful) / HOUR
    paid = devices + result.spec.spares * result.devices_per_node
    return {
        "hours": hours,
        "goodput": useful / outcome.seconds,
        "batches": outcome.batches,
        "tokens": outcome.batches * tokens,
        "tokens_per_s": outcome.batches * tokens / outcome.seconds,
        "failures": outcome.failures,
        "failures_in_all": sum(outcome.failures.values()),
        "mtbf_h": None if result.mtbf is None else result.mtbf / HOUR,
        "restarts": outcome.restarts,
        "changes_of_arrangement": outcome.changes,
        "lost_h": lost,
        "lost_h_in_all": sum(lost.values()),
        "checkpoint": _checkpoint(result),
        "cost_usd": None if price is None else price * paid * hours,
    }


def _checkpoint(result: RunResult) -> dict[str, Any]:
    """Young's and Daly's formulas know only the pause: a store in the background adds to the work that is lost."""
    saved, mtbf = result.checkpoints, result.mtbf
    down = max((f.detection_s or 0.0 for f in result.spec.failures), default=0.0) or result.spec.detection_s
    down += result.restarting.reschedule + result.restarting.load
    return {
        "count": result.outcome.checkpoints,
        "interval_s": saved.interval if mtbf is not None or result.spec.checkpoint.interval_s else None,
        "pause_s": saved.pause,
        "store_s": saved.store,
        "load_s": result.restarting.load,
        "young_interval_s": None if mtbf is None else young_interval(saved.pause, mtbf),
        "daly_interval_s": None if mtbf is None else daly_interval(saved.pause, mtbf),
        "daly_goodput": None if mtbf is None else expected_goodput(saved, mtbf, down),
    }


def run_tables(run: dict[str, Any]) -> list[tuple[str, list[dict[str, str]]]]:
    """Titles and rows: headlines, lost time by cause, and the checkpoint interval beside Young's and Daly's."""
    failures = ", ".join(f"{n:,} {cause}" for cause, n in run["failures"].items()) or "none"
    rows = [
        {"figure": "length", "value": f"{run['hours'] / 24:,.2f} days"},
        {"figure": "effective training time (goodput)", "value": f"{run['goodput']:.2%}"},
        {"figure": "tokens", "value": count_text(run["tokens"])},
        {"figure": "failures", "value": failures},
        {"figure": "restarts", "value": f"{run['restarts']:,}"},
    ]
    if run["changes_of_arrangement"]:
        rows.append({"figure": "changes of arrangement", "value": f"{run['changes_of_arrangement']:,}"})
    if run["cost_usd"] is not None:
        rows.append({"figure": "cost", "value": f"{run['cost_usd']:,.0f} USD"})
    tables = [("the run", rows)]
    lost = [(name.replace("_", " "), h) for name, h in run["lost_h"].items() if h > 1e-6]
    if lost:
        rows = [{"cause": n, "hours": f"{h:,.2f}", "share": f"{h / run['hours']:.2%}"} for n, h in lost]
        tables.append(("lost time", rows))
    saved = run["checkpoint"]
    if saved["interval_s"] is not None:
        names = ("interval_s", "young_interval_s", "daly_interval_s", "pause_s", "store_s", "load_s")
        row = {n.removesuffix("_s").replace("_", " "): _shown(saved[n]) for n in names}
        tables.append(("checkpoints (s)", [row]))
    return tables


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"
