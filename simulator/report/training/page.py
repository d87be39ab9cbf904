"""The report of a training step: one self-contained HTML page, no network and no scripts needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.report.sections import Section, again, sectioned_page, table_sections
from simulator.report.training.answer import training_answer
from simulator.report.training.figures import MOST_STAGES, training_figures
from simulator.report.training.tables import (
    headline_rows,
    memory_rows,
    movement_tables,
    part_rows,
    tables_beyond_the_step,
    training_title,
)

if TYPE_CHECKING:
    from simulator.training import TrainingResult

# Degrees of parallelism by what they are where there is none.
DEGREES = {"tensor": 1, "context": 1, "expert": 1, "pipeline": 1, "chunks": 1, "data": 1, "zero": 0}


def _shown(stages: int) -> list[int]:
    """All of a few stages, or some at even distances."""
    step = max(1.0, (stages - 1) / (MOST_STAGES - 1))
    return [round(i * step) for i in range(min(stages, MOST_STAGES))]


def training_report(result: TrainingResult) -> str:
    """The page of a step as text. Everything that comes from the user is escaped."""
    summary, scenario = result.summary, result.scenario
    title, layout = training_title(summary), summary["layout"]
    degrees = ", ".join(f"{name} {layout[name]}" for name, usual in DEGREES.items() if layout[name] > usual)
    calibration, stages = summary["calibration"], len(summary["memory_gb"])
    some = f"{MOST_STAGES} of the {stages} stages; summary.json has all." if stages > MOST_STAGES else ""
    return sectioned_page(
        scenario.name or title,
        f"{title + '; ' if scenario.name else ''}{degrees or 'one device'}",
        [
            Section("Charts", figures=training_figures(result)),
            Section("Figures of the step", headline_rows(summary)),
            *table_sections(tables_beyond_the_step(summary)),
            Section("The step by part", part_rows(summary), "Of the stage that computes longest."),
            *table_sections(movement_tables(summary, _shown)),
            Section("Memory of a device (GB)", memory_rows(summary, _shown(stages)), some),
            Section(
                "What the times rest on",
                sentences=[f"kernels: {calibration['kernels']}; software: {calibration['stack']}"],
            ),
            again(scenario),
        ],
        training_answer(summary, max(part.law.device.memory_capacity for part, _ in result.step.kinds)),
    )
