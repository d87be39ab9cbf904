"""The page of training scenarios side by side: which wins, by what, and which parts of the step make it win."""

from __future__ import annotations

import shlex
from dataclasses import replace

import numpy as np

from simulator.comparison.training import TrainingComparison, ratio
from simulator.report.comparison.training import (
    best_rows,
    change_rows,
    figure_rows,
    named_value,
    part_tables,
    sentences,
)
from simulator.report.comparison.words import against
from simulator.report.sections import Answer, Figure, KeyFigure, Section, scenario_text, sectioned_page, table_sections
from simulator.report.svg import INK, PALETTE, SHADES, WAITS, drawing, legend_above, stacked_bars, svg
from simulator.report.training.tables import training_title

# Parts that are less of every step than this are drawn in no chart.
LEAST_SHARE = 0.0005
# Measures that decide between scenarios, named at the head of the page.
DECISIVE = {
    "tokens_per_s": "Quickest",
    "mfu": "Best use of devices",
    "memory_gb": "Least memory",
    "cost_per_million_tokens_usd": "Cheapest",
    "kwh_per_million_tokens": "Least energy",
}


def training_comparison_page(found: TrainingComparison) -> str:
    """The page as text. Everything that comes from the user is escaped."""
    first = found.labels[0]
    titles = dict.fromkeys(training_title(r.summary) for r in found.results)
    changes = change_rows(found)
    files = shlex.join(f"{label}.yaml" for label in found.labels)
    return sectioned_page(
        against(found.labels),
        "; ".join(titles),
        [
            Section("Which wins, and why", best_rows(found), sentences=sentences(found)[2:]),
            Section("What differs", changes, sentences=[] if changes else ["Nothing but names."]),
            Section("Side by side", figure_rows(found, parts=False), f"In brackets the difference from {first}."),
            Section("Charts", figures=_figures(found)),
            Section("The step by part", figure_rows(found, parts=True), "Of the stage that computes longest."),
            *(
                replace(section, about=f"Seconds of each for as many tokens as a step of {first} has.")
                for section in table_sections(part_tables(found))
            ),
            Section(
                "To run this again",
                sentences=[f"Save each as a file, then simulator compare {files} --out out/"],
            ),
            *(
                Section(f"{label}.yaml", code=scenario_text(r.scenario))
                for label, r in zip(found.labels, found.results, strict=True)
            ),
        ],
        _answer(found),
    )


def _answer(found: TrainingComparison) -> Answer:
    """Which scenario is best by each measure that decides, and by how much over the first."""
    figures = []
    for measure, name in DECISIVE.items():
        if measure in found.best:
            labels = found.best[measure]
            place = found.labels.index(labels[0])
            gain = ratio(found.figures[measure], place)
            alike = len(labels) == len(found.labels)
            ahead = "" if not place or gain is None else f" ({gain - 1.0:+,.1%} against {found.labels[0]})"
            value = found.figures[measure][place]
            said = "" if value is None else f"{named_value(measure, value)}{ahead}"
            figures.append(KeyFigure(name, "all alike" if alike else " and ".join(labels), between=said))
    return Answer(figures, sentences(found)[:2])


def _figures(found: TrainingComparison) -> list[Figure]:
    first = found.labels[0]
    return [
        ("Where the time goes", "A step of the stage that computes longest.", time_by_part(found)),
        ("Memory of the fullest device", "By what holds its bytes.", memory_by_part(found)),
        (
            "What makes the difference",
            f"Seconds more (right) or less (left) than {first}, for the tokens of a step of it.",
            differences(found),
        ),
        ("Tokens a second and device", "In a step.", throughput(found)),
    ]


def shown_parts(found: TrainingComparison) -> list[str]:
    """Parts of the step that count in any scenario, in their order."""
    summaries = [r.summary for r in found.results]
    names = dict.fromkeys(name for s in summaries for name in s["breakdown_s"])
    return [n for n in names if any(s["breakdown_s"].get(n, 0.0) > LEAST_SHARE * s["step_s"] for s in summaries)]


def time_by_part(found: TrainingComparison) -> str:
    """A bar a scenario, of the parts of its step."""
    parts, shades = shown_parts(found), iter(SHADES)
    summaries = [r.summary for r in found.results]
    return stacked_bars(
        found.labels, [[s["breakdown_s"].get(part, 0.0) for part in parts] for s in summaries],
        [part.replace("_", " ") for part in parts], [WAITS if part == "wait" else next(shades) for part in parts],
        "seconds", [f"{s['step_s']:,.3g}" for s in summaries],
    )  # fmt: skip


def memory_by_part(found: TrainingComparison) -> str:
    """A bar a scenario, of what its fullest device holds."""
    fullest = [max(r.summary["memory_gb"], key=lambda stage: float(stage["total"])) for r in found.results]
    parts = [name for name in dict.fromkeys(name for stage in fullest for name in stage) if name != "total"]
    return stacked_bars(
        found.labels, [[stage.get(part, 0.0) for part in parts] for stage in fullest],
        [part.replace("_", " ") for part in parts], SHADES, "GB", [f"{stage['total']:,.1f}" for stage in fullest],
    )  # fmt: skip


def differences(found: TrainingComparison) -> str:
    """By part, a bar a scenario after the first: seconds that it takes more or less."""
    parts, others = shown_parts(found), found.labels[1:]
    height = 0.8 / len(others)
    figure, axes = drawing(height=1.0 + 0.26 * len(parts) * max(1.0, 0.6 * len(others)))
    for i, label in enumerate(others):
        more = {part.name: part.more for part in found.parts(i + 1)}
        places = np.arange(len(parts)) - 0.4 + height * (i + 0.5)
        axes.barh(places, [more.get(p, 0.0) for p in parts], height, color=SHADES[i % len(SHADES)], label=label)
    axes.axvline(0.0, color=INK, linewidth=1.0)
    axes.set_axisbelow(True)
    axes.set_yticks(range(len(parts)), [part.replace("_", " ") for part in parts])
    axes.invert_yaxis()
    axes.set(xlabel="seconds more")
    legend_above(axes)
    return svg(figure, axes, legend=False)


def throughput(found: TrainingComparison) -> str:
    """A bar a scenario."""
    values = [float(r.summary["tokens_per_s_and_device"]) for r in found.results]
    return stacked_bars(
        found.labels, [[v] for v in values], ["tokens"], [PALETTE[2]], "tokens a second and device",
        [f"{v:,.0f}" if v >= 100 else f"{v:,.3g}" for v in values],
    )  # fmt: skip
