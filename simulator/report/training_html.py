"""The report of a training step: one self-contained HTML page, no network and no scripts needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from simulator.report.files import write_text
from simulator.report.html import page_template
from simulator.report.training import headline_rows, tables_beyond_the_step, training_title
from simulator.report.training_figures import MOST_STAGES, training_figures

if TYPE_CHECKING:
    from simulator.training import TrainingResult

# Degrees of parallelism by what they are where there is none.
DEGREES = {"tensor": 1, "context": 1, "expert": 1, "pipeline": 1, "chunks": 1, "data": 1, "zero": 0}


def write_training_report(path: Path, result: TrainingResult) -> None:
    """Write the page of a step to `path`, whole or not at all; the same result gives the same bytes."""
    write_text(path, training_report(result))


def _shown(stages: int) -> list[int]:
    """All of a few stages, or some at even distances."""
    step = max(1.0, (stages - 1) / (MOST_STAGES - 1))
    return [round(i * step) for i in range(min(stages, MOST_STAGES))]


def training_report(result: TrainingResult) -> str:
    """The page of a step as text. Everything that comes from the user is escaped."""
    import yaml

    summary, scenario = result.summary, result.scenario
    title, layout = training_title(summary), summary["layout"]
    degrees = ", ".join(f"{name} {layout[name]}" for name, usual in DEGREES.items() if layout[name] > usual)
    total = summary["step_s"]
    memory = summary["memory_gb"]
    return page_template("training.html").render(
        title=scenario.name or title,
        subtitle=f"{title + '; ' if scenario.name else ''}{degrees or 'one device'}",
        headline=[(row["figure"], row["value"]) for row in headline_rows(summary)],
        tables=[(name[0].upper() + name[1:], rows) for name, rows in tables_beyond_the_step(summary)],
        figures=training_figures(result),
        parts=[(k.replace("_", " "), f"{v:,.4f}", f"{v / total:.1%}") for k, v in summary["breakdown_s"].items()],
        memory_columns=[name.replace("_", " ") for name in memory[0]],
        memory=[(stage, [f"{v:,.2f}" for v in memory[stage].values()]) for stage in _shown(len(memory))],
        calibration=f"kernels: {summary['calibration']['kernels']}; software: {summary['calibration']['stack']}",
        scenario=yaml.safe_dump(
            {"kind": "training"} | scenario.model_dump(exclude_defaults=True), sort_keys=False, allow_unicode=True
        ),
    )
