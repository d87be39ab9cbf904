"""The page of a plan of deployments, and the best of them as a scenario file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.report.planning import table as plan_table
from simulator.report.planning.answer import plan_answer
from simulator.report.planning.figures import AXES, plan_figures
from simulator.report.sections import Row, Rows, Section, sectioned_page
from simulator.report.serving.answer import amount
from simulator.report.serving.assumptions import NOT_MODELLED

if TYPE_CHECKING:
    from simulator.planning.plan import Plan

FIGURES = {
    ("latency_ms", "ttft", "p99"): "P99 TTFT (ms)",
    ("latency_ms", "tpot", "p99"): "P99 TPOT (ms)",
    ("latency_ms", "e2e", "p99"): "P99 E2E (ms)",
    ("goodput", "share"): "goodput share",
    ("energy", "j_per_token"): "joules a token",
    ("cost", "usd_per_million_tokens"): "USD a million tokens, rent of serving replicas",
}
MOST_ALSO = 10
# Longer texts are folded.
MOST_LINES = 40


def best_yaml(plan: Plan) -> str:
    """The best deployment as a scenario file that `simulator run` takes."""
    import yaml

    assert plan.best_scenario is not None
    return yaml.safe_dump(plan.best_scenario.model_dump(exclude_defaults=True), sort_keys=False, allow_unicode=True)


def page(plan: Plan) -> str:
    """The page of a plan as text. Everything that comes from the user is escaped."""
    facts, spec = plan.facts, plan.spec
    best = facts["deployments"][0] if facts["deployments"] else None
    ranking = "Deployments that meet every objective, cheapest first" if facts["feasible"] else "The closest deployment"
    return sectioned_page(
        spec.name or f"Plan for {spec.model}",
        plan_table.title(facts),
        [
            Section(
                ranking,
                _ranking(facts),
                'Latencies in milliseconds. "Of limit" is how much of the tightest objective is used, "KV room" the '
                'share of the KV cache that is never held, "load room" how much faster the same requests may arrive.',
            ),
            Section("What a dollar buys", figures=plan_figures(plan)),
            Section("Objectives of the first", _objectives(facts, best)),
            Section(
                "How sure the figures of the first are",
                _bands(best),
                "90 % intervals; all shapes of one kind of kernel err together, which is cautious.",
            ),
            Section(
                "What binds each",
                [
                    {"deployment": d["deployment"], "replicas": f"{d['replicas']}", "what binds it": _binding(d)}
                    for d in facts["deployments"]
                ],
                sentences=[f"What would relax it: {facts['relaxing']['sentence']}."],
            ),
            Section(
                "Pareto front",
                [{"no.": f"{n}"} | _cells(row) for n, row in enumerate(facts["front"], start=1)],
                f"Deployments that none beats in cost, {' and '.join(AXES[a][0] for a in spec.front)} at once, as far "
                f"as {spec.front_within:g} times the lowest cost.",
            ),
            Section("Why the others lose", _devices(facts, best), sentences=[plan_table.searched(facts)]),
            *_rest(plan, best),
        ],
        plan_answer(facts),
    )


def _cells(row: dict[str, Any]) -> dict[str, str]:
    return dict(zip(plan_table.COLUMNS, plan_table.cells(row), strict=True))


def _ranking(facts: dict[str, Any]) -> Rows:
    """The first deployments; under the cost of each how much more it is than that of the cheapest."""
    found = [*facts["deployments"], *facts["also"][:MOST_ALSO]]
    rows: list[Row] = []
    for row in found:
        cells = _cells(row)
        over = row["usd_per_hour"] / found[0]["usd_per_hour"] - 1
        rows.append(cells | {"USD/h": f"{cells['USD/h']}\n{over:+.1%}" if rows else cells["USD/h"]})
    return rows


def _objectives(facts: dict[str, Any], best: dict[str, Any] | None) -> Rows:
    """Limit and figure of each objective, and the share of replications in which it holds, where there are any."""
    chances = best["intervals"]["probability"] if best and "intervals" in best else {}
    rows: list[Row] = []
    for o in facts["objectives"]:
        form = "{:.2%}" if o["name"].endswith("goodput") else "{:,.2f}"
        value = None if best is None else best["objectives"].get(o["name"])
        row = {"objective": o["name"], "limit": form.format(o["limit"])}
        row["figure"] = "-" if value is None else form.format(value)
        rows.append(row | ({"holds in replications": f"{chances[o['name']]:.0%}"} if chances else {}))
    return rows


def _bands(best: dict[str, Any] | None) -> Rows:
    """Low, predicted and high of the first deployment's P99 latencies, goodput, energy and cost."""
    if best is None or "intervals" not in best:
        return []
    rows: list[Row] = []
    for path, label in FIGURES.items():
        interval, value = _inside(best["intervals"]["figures"], path), _inside(best["summary"], path)
        if interval is not None and value is not None:
            low, predicted, high = (amount(x) for x in (interval[0], value, interval[1]))
            rows.append({"": label, "low": low, "predicted": predicted, "high": high})
    return rows


def _inside(tree: Any, path: Sequence[str]) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _binding(row: dict[str, Any]) -> str:
    return str(row["binding"]["sentence"])


def _devices(facts: dict[str, Any], best: dict[str, Any] | None) -> Rows:
    """Each device with its cheapest deployment, if any, and what became of its candidates."""
    rows: list[Row] = []
    for found in facts["devices"]:
        row, fates = found["cheapest"], found["fates"]
        over = "" if row is None or best is None else f"{row['usd_per_hour'] / best['usd_per_hour'] - 1:+.1%}"
        rows.append(
            {
                "device": Path(found["device"]).stem,
                "candidates": f"{found['candidates']:,}",
                "cheapest USD/h": "-" if row is None else f"{row['usd_per_hour']:,.2f}",
                "over the first": over or "-",
                "what became of its candidates": "; ".join(f"{n:,}: {fate}" for fate, n in fates.items()),
            }
        )
    return rows


def _rest(plan: Plan, best: dict[str, Any] | None) -> list[Section]:
    """What the times rest on, and how to get the numbers and the plan again."""
    import yaml

    question = {"kind": plan.spec.kind, **plan.spec.model_dump(exclude_defaults=True)}
    deployment = best["summary"]["deployment"] if best else None
    rests = [] if deployment is None else [f"{deployment['calibration']}: {deployment['calibration_source']}"]
    return [
        Section("What the times of the first rest on", sentences=[*rests, NOT_MODELLED]),
        *_launch(plan),
        Section(
            "To run the first again",
            about="This is best.yaml: simulator run best.yaml --out out/ gives the same numbers.",
            code="" if plan.best_scenario is None else best_yaml(plan),
        ),
        Section(
            "To plan again",
            about="Save as question.yaml, then simulator plan question.yaml --out out/",
            code=yaml.safe_dump(question, sort_keys=False, allow_unicode=True),
        ),
    ]


def _launch(plan: Plan) -> list[Section]:
    """The launch lines of the first deployment, where it meets the objectives."""
    from simulator.deployment.targets import export

    if plan.best_scenario is None or not plan.facts["feasible"]:
        return []
    found = export(plan.best_scenario, "sglang" if plan.best_scenario.engine == "sglang" else "vllm")
    about = "Also in deploy/, with the forms for other systems; simulator export best.yaml writes them again."
    return [
        Section("To launch the first", about=about, code=text, folded=text.count("\n") > MOST_LINES)
        for text in found.files.values()
    ]
