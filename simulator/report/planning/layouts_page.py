"""The page of a plan of layouts: the best, their parts, and why others lose; and the best as a scenario file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.report.live import name_marks
from simulator.report.planning.layouts import best_sentences, choice_cells, training_plan_tables
from simulator.report.sections import Answer, Figure, KeyFigure, Section, again, sectioned_page, table_sections
from simulator.report.svg import INK, PALETTE, SHADES, WAITS, drawing, legend_above, stacked_bars, svg
from simulator.report.training.memory import memory_of
from simulator.report.training.stages import device_names

if TYPE_CHECKING:
    from simulator.planning.training.plan import TrainingAnswer
    from simulator.planning.training.search import Bounded

PARTS = {"compute": PALETTE[0], "recomputation": PALETTE[3], "links": PALETTE[1], "bubble": WAITS}
# Layouts that were not simulated are drawn up to so many, those with the least bounds.
MOST_BOUNDS = 500
# The picture of time against memory ends at so many times the best step.
SLOWEST = 2.5


def best_yaml(answer: TrainingAnswer) -> str:
    """The chosen layout as a scenario file that `simulator train` takes, all degrees of parallelism named."""
    import yaml

    chosen = answer.chosen.scenario
    values = {**chosen.model_dump(exclude_defaults=True), "layout": chosen.layout.model_dump()}
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def training_plan_page(answer: TrainingAnswer) -> str:
    """The page as text; the same answer gives the same bytes."""
    summary, plan = answer.summary, answer.plan
    (_, best), *others = training_plan_tables(summary)
    step, search = answer.chosen.step, summary["search"]
    what = f"{step.job.model.name} on {plan.devices:,} x {device_names(step)}"
    return sectioned_page(
        plan.name or f"Layouts of {what}",
        f"{what}; {search['combinations']:,} combinations, {search['simulated']:,} of them simulated",
        [
            Section("The quickest layouts", [{"": str(i)} | row for i, row in enumerate(best, 1)], _usual(answer)),
            Section("Why the first is the quickest", sentences=best_sentences(summary)),
            Section("Charts", figures=_figures(answer)),
            *table_sections(others),
            Section(
                "The quickest as a scenario",
                about="best.yaml, which simulator train takes",
                code=best_yaml(answer),
            ),
            again(plan, "simulator plan plan.yaml --out out/"),
        ],
        _answer(answer),
    )


def _answer(answer: TrainingAnswer) -> Answer:
    """The quickest layout, how it does, and how far ahead it is."""
    first, *others = answer.summary["best"]
    room = "" if answer.capacity is None else f"of {answer.capacity / 1e9:,.0f}"
    figures = [
        KeyFigure("Step of the quickest", f"{first['step_s']:,.4g}", "s"),
        KeyFigure("MFU", f"{first['mfu']:.1%}"),
        KeyFigure("Memory of its fullest device", f"{first['memory_gb']['total']:,.1f}", "GB", room),
        KeyFigure("Devices", f"{answer.plan.devices:,}"),
    ]
    said = [f"The quickest layout that fits: {_words(first['choice'])}."]
    if others:
        more = others[0]["step_s"] / first["step_s"] - 1.0
        longer = f"{more:.1%} more" if more >= 0.0005 else "as long"
        said.append(f"The next takes {longer}: {_words(others[0]['choice'])}.")
        figures.append(KeyFigure("Ahead of the next", f"{more:.1%}"))
    return Answer(figures, said)


def _usual(answer: TrainingAnswer) -> str:
    """Which device stages are on that name none."""
    cells = [cell for best in answer.summary["best"] for cell in choice_cells(best["choice"]).values()]
    if not any(cell.endswith("usual") or "usual +" in cell for cell in cells):
        return ""
    return f"The usual device of a stage is {Path(answer.chosen.scenario.device).stem}."


def _words(choice: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in choice_cells(choice).items())


def _figures(answer: TrainingAnswer) -> list[Figure]:
    best = answer.summary["best"]
    names = [_name(i, b["choice"]) for i, b in enumerate(best, 1)]
    memory = [part for part in best[0]["memory_gb"] if part != "total"]
    return [
        (
            "Time against memory",
            "What was simulated; pale: what bounds rule out, at the least that it can take. Marks say their layout.",
            time_against_memory(answer),
        ),
        (
            "Where the time of the quickest goes",
            "A step of the stage that computes longest.",
            stacked_bars(
                names, [[b["parts_s"].get(part, 0.0) for part in PARTS] for b in best], list(PARTS),
                list(PARTS.values()), "seconds", [f"{b['step_s']:,.4g}" for b in best],
            ),
        ),
        (
            "What their fullest device holds",
            "" if answer.capacity is None else f"Of {answer.capacity / 1e9:,.1f} GB.",
            stacked_bars(
                names, [[b["memory_gb"][part] for part in memory] for b in best], memory, SHADES, "GB",
                [f"{b['memory_gb']['total']:,.1f}" for b in best],
            ),
        ),
    ]  # fmt: skip


def _name(number: int, choice: dict[str, Any]) -> str:
    """The row of the table, and the degrees of parallelism that are searched."""
    degrees = [
        f"{name[0]}{choice[key]}" for name in ("tensor", "pipeline", "data") if (key := f"layout.{name}") in choice
    ]
    return f"{number}: {' '.join(degrees)}"


def time_against_memory(answer: TrainingAnswer) -> str:
    """Every simulated layout that fits, the reported ones apart, and the bounds of those that were not simulated."""
    found, best = answer.found, {id(r) for r in answer.best}
    slowest = SLOWEST * answer.best[0].step.step_seconds
    results = [r for r in found.simulated.values() if r is not None]
    points = {
        "others simulated": [r for r in results if id(r) not in best],
        "the quickest": [r for r in results if id(r) in best],
    }
    figure, axes = drawing(height=3.4)
    pale = [b for b in _unsimulated(answer) if b.seconds <= slowest]
    places = [(b.bytes / 1e9, b.seconds) for b in pale]
    marks = axes.scatter(*_columns(places), s=9, color=WAITS, alpha=0.5, linewidths=0, label="at least, not simulated")
    name_marks(marks, [_words(b.candidate.choice) for b in pale])
    for (name, own), colour in zip(points.items(), (PALETTE[0], PALETTE[1]), strict=True):
        shown = [r for r in own if r.step.step_seconds <= slowest]
        marks = axes.scatter(*_columns([_place(r) for r in shown]), s=26, color=colour, linewidths=0, label=name)
        name_marks(marks, [_words(answer.choice(r)) for r in shown])
    if answer.capacity is not None:
        axes.axvline(answer.capacity / 1e9, color=INK, linewidth=1.0, linestyle="--", label="capacity")
    axes.set_axisbelow(True)
    axes.set(xlabel="GB of the fullest device", ylabel="seconds a step", xlim=(0, None))
    legend_above(axes)
    return svg(figure, axes, legend=False)


def _unsimulated(answer: TrainingAnswer) -> list[Bounded]:
    left = [b for b in answer.found.fitting if id(b) not in answer.found.simulated]
    return sorted(left, key=lambda b: b.seconds)[:MOST_BOUNDS]


def _place(result: Any) -> tuple[float, float]:
    """GB of the fullest device, and seconds of a step."""
    return max(stage["total"] for stage in memory_of(result.step)), result.step.step_seconds


def _columns(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
