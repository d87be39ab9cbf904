"""What a reader takes from the page of a training step first: pace, use of the devices, room, cost, and the limit."""

from __future__ import annotations

from typing import Any

from simulator.report.amounts import count_text
from simulator.report.sections import Answer, KeyFigure

# What the longest part of a step means, by its name in the breakdown.
LIMITS = {
    "forward": "computing",
    "backward": "computing",
    "recompute": "computing",
    "optimizer": "updating the weights",
    "tensor_parallel": "exchanges between tensor-parallel devices",
    "all_to_all": "exchanges between experts",
    "exchange": "exchanges of keys and values",
    "gradient_reduction": "adding up gradients",
    "wait": "waiting for other pipeline stages",
    "parameter_server": "the parameter server, other workers and slow devices",
}
# What the time of a long run is lost for, by its name in the summary.
LOST = {
    "lost_work": "work done again",
    "checkpoint": "writing checkpoints",
    "detection": "noticing failures",
    "reschedule": "finding other devices",
    "loading": "loading checkpoints",
    "waiting": "waiting for repairs",
    "rearranging": "moving work to fewer devices",
    "degraded": "slower steps on fewer devices",
}


def training_answer(summary: dict[str, Any], capacity: float) -> Answer:
    """The head of the page; `capacity` is the memory of the largest device in bytes."""
    from simulator.comparison.training import paced

    summary = paced(summary)
    counted, served = "samples" if "samples_per_s" in summary else "tokens", summary.get("parameter_server")
    held = summary["peak_memory_gb"] if served is None else served["worker_memory_gb"]
    run, slowed = summary.get("run"), None if served else summary.get("stragglers")
    late = "" if slowed is None else f"{slowed['step_s']['mean']:,.4g} s with stragglers"
    figures = [
        KeyFigure("Step", f"{summary['step_s']:,.4g}", "s", late),
        KeyFigure(
            "Throughput", *large(summary["tokens_per_s"], f"{counted}/s"),
            " ".join(large(summary["tokens_per_s_and_device"], "a device")),
        ),
        KeyFigure("MFU", f"{summary['mfu']:.1%}", between=f"{summary['hfu']:.1%} with recomputation"),
        KeyFigure("Memory of the fullest device", f"{held:,.1f}", "GB", f"of {capacity / 1e9:,.0f}"),
    ]  # fmt: skip
    if run is not None:
        figures.append(KeyFigure("Effective training time", f"{run['goodput']:.1%}", between=_days(run["hours"])))
        if run["cost_usd"] is not None:
            figures.append(KeyFigure("Cost of the run", count_text(run["cost_usd"]), "USD", "spares and failures too"))
    if "sites" in summary:
        computing = f"computing {summary['sites']['utilisation']:.1%} of the time"
        figures.append(KeyFigure("All sites", *large(summary["sites"]["tokens_per_s"], f"{counted}/s"), computing))
    if summary["cost_usd"] is not None:
        cost = summary["cost_per_million_tokens_usd"]
        figures.append(KeyFigure("Cost", f"{cost:,.3g}", "USD", f"a million {counted}"))
    figures.append(KeyFigure("Energy", f"{summary['energy_kwh']:,.3g}", "kWh", "a step"))
    return Answer(figures, [_limit(summary), *_of_the_run(run), *_otherwise(slowed, served)])


def large(value: float, unit: str) -> tuple[str, str]:
    """A quantity in few digits and its unit, with millions and billions named."""
    for size, name in ((1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:,.3g}", f"{name} {unit}"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}", unit


def _limit(summary: dict[str, Any]) -> str:
    """What most of the step goes to, and the largest share that goes to nothing of use."""
    shares: dict[str, float] = {}
    for part, seconds in summary["breakdown_s"].items():
        name = LIMITS.get(part, part.replace("_", " "))
        shares[name] = shares.get(name, 0.0) + max(0.0, seconds) / summary["step_s"]
    (most, share), *others = sorted(shares.items(), key=lambda item: -item[1])
    then = f", {others[0][1]:.0%} to {others[0][0]}" if others and others[0][1] >= 0.005 else ""
    return f"Of the step {share:.0%} goes to {most}{then}, on the stage that computes longest."


def _otherwise(slowed: dict[str, Any] | None, served: dict[str, Any] | None) -> list[str]:
    """What makes a step another than the one that the page's charts show."""
    if served is not None:
        return ["These figures are with the parameter server; charts and parts of the step are of replicas without it."]
    if slowed is None:
        return []
    mean = slowed["step_s"]["mean"]
    return [
        f"With stragglers a step takes {mean:,.4g} s on average, {slowed['slower']:.2f} times as long; charts and "
        "all other figures are without them."
    ]


def _of_the_run(run: dict[str, Any] | None) -> list[str]:
    if run is None:
        return []
    lost = {LOST.get(name, name.replace("_", " ")): hours for name, hours in run["lost_h"].items()}
    worst = max(lost, key=lambda name: lost[name])
    return [
        f"In {run['hours']:,.0f} hours {run['failures_in_all']:,.0f} failures and what guards against them cost "
        f"{run['lost_h_in_all']:,.1f} hours, most of them for {worst} ({lost[worst]:,.1f})."
    ]


def _days(hours: float) -> str:
    return f"of {hours / 24.0:,.3g} days"
