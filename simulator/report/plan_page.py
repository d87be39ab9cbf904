"""The files of a plan: plan.json, best.yaml and a self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.report import plan_table
from simulator.report.files import write_json, write_text
from simulator.report.html import page_template
from simulator.report.svg import INK, PALETTE, drawing, svg

if TYPE_CHECKING:
    from simulator.planning.evaluate import Outcome
    from simulator.planning.plan import Plan

AXES = {
    "ttft_p99": ("P99 TTFT", "P99 TTFT (ms)"),
    "tpot_p99": ("P99 TPOT", "P99 TPOT (ms)"),
    "e2e_p99": ("P99 E2E", "P99 E2E (ms)"),
    "energy": ("energy", "joules a token"),
}
MOST_NAMED = 6


def write_plan(folder: Path, plan: Plan) -> None:
    """Write `plan.json`, `report.html` and, where anything could be simulated, `best.yaml` and its `summary.json`.

    The best deployment goes as launch lines and manifests into the folder `deploy` too.
    """
    if plan.best_scenario is not None:
        from simulator.deployment.targets import write_all

        write_all(folder / "deploy", plan.best_scenario)
        write_text(folder / "best.yaml", best_yaml(plan))
        write_json(folder / "summary.json", plan.facts["deployments"][0]["summary"])
    write_json(folder / "plan.json", plan.facts)
    write_text(folder / "report.html", page(plan))


def best_yaml(plan: Plan) -> str:
    """The best deployment as a scenario file that `simulator run` takes."""
    import yaml

    assert plan.best_scenario is not None
    return yaml.safe_dump(plan.best_scenario.model_dump(exclude_defaults=True), sort_keys=False, allow_unicode=True)


def page(plan: Plan) -> str:
    """The page of a plan as text. Everything that comes from the user is escaped."""
    facts, spec = plan.facts, plan.spec
    best = facts["deployments"][0] if facts["deployments"] else None
    probability = best["intervals"]["probability"] if best and "intervals" in best else {}
    return page_template("plan_template.html").render(
        title=spec.name or f"Plan for {spec.model}",
        subtitle=plan_table.title(facts),
        facts=facts,
        sentences=plan_table.sentences(facts),
        columns=plan_table.COLUMNS,
        rows=[plan_table.cells(row) for row in [*facts["deployments"], *facts["also"][:10]]],
        objectives=_objectives(facts, best, probability),
        probability=bool(probability),
        bands=_bands(best),
        figures=[
            (f"Cost against {AXES[a][0]}", "Every deployment simulated that meets all objectives.", chart(plan, a))
            for a in spec.front
        ]
        if plan.ranked
        else [],
        front=[plan_table.cells(row) for row in facts["front"]],
        axes=" and ".join(AXES[a][0] for a in spec.front),
        within=f"{spec.front_within:g}",
        scenario="" if plan.best_scenario is None else best_yaml(plan),
    )


def _objectives(
    facts: dict[str, Any], best: dict[str, Any] | None, probability: dict[str, float]
) -> list[tuple[str, str, str, str]]:
    rows = []
    for o in facts["objectives"]:
        share = o["name"].endswith("goodput")
        value = None if best is None else best["objectives"].get(o["name"])
        form = "{:.2%}" if share else "{:,.2f}"
        chance = f"{probability[o['name']]:.0%}" if o["name"] in probability else ""
        rows.append((o["name"], form.format(o["limit"]), "" if value is None else form.format(value), chance))
    return rows


def _bands(best: dict[str, Any] | None) -> list[tuple[str, str, str, str]]:
    """Low, predicted and high of the first deployment's P99 latencies, goodput, energy and cost."""
    if best is None or "intervals" not in best:
        return []
    found, summary = best["intervals"]["figures"], best["summary"]
    wanted = {
        ("latency_ms", "ttft", "p99"): "P99 TTFT (ms)",
        ("latency_ms", "tpot", "p99"): "P99 TPOT (ms)",
        ("latency_ms", "e2e", "p99"): "P99 E2E (ms)",
        ("goodput", "share"): "goodput share",
        ("energy", "j_per_token"): "joules a token",
        ("cost", "usd_per_million_tokens"): "USD a million tokens, rent of serving replicas",
    }
    rows = []
    for path, label in wanted.items():
        interval, value = _inside(found, path), _inside(summary, path)
        if interval is not None and value is not None:
            rows.append((label, f"{interval[0]:,.4g}", f"{value:,.4g}", f"{interval[1]:,.4g}"))
    return rows


def _inside(tree: Any, path: Sequence[str]) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def chart(plan: Plan, name: str) -> str:
    """Cost against one axis: every deployment that meets the objectives, and the front of these two."""
    from simulator.planning.plan import axis, pareto

    figure, axes = drawing()
    by_device: dict[str, list[Outcome]] = {}
    for o in plan.feasible:
        by_device.setdefault(Path(o.configuration.scenario.device).stem, []).append(o)
    for number, (device, outcomes) in enumerate(sorted(by_device.items())):
        axes.scatter(
            [o.usd_per_hour for o in outcomes], [axis(o, name) for o in outcomes], s=18, alpha=0.6, linewidths=0,
            color=PALETTE[number % len(PALETTE)], marker="os^Dv"[number // len(PALETTE) % 5], label=device,
        )  # fmt: skip
    front = pareto(plan.feasible, [name])
    axes.step(
        [o.usd_per_hour for o in front], [axis(o, name) for o in front], where="post", color=INK, linewidth=1.2,
        label="front",
    )  # fmt: skip
    axes.set(xlabel="USD an hour", ylabel=AXES[name][1], xlim=(0, None), ylim=(0, None))
    return svg(figure, axes, legend=len(by_device) <= MOST_NAMED)
