"""The page of rounds of gradients: how long they take, who is waited for, and where training gets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from simulator.engine.training.rounds import Floats, RoundsOutcome
from simulator.report.sections import Answer, Figure, KeyFigure, Section, again, sectioned_page, table_sections
from simulator.report.svg import INK, PALETTE, drawing, legend_above, svg
from simulator.report.training.rounds import rounds_ended, rounds_tables, usual_seconds
from simulator.rounds import RoundsResult

POINTS = 200
# All workers are drawn in their order up to so many, of more the few that are waited for most.
ALL_WORKERS, FEW_WORKERS = 24, 12


def rounds_page(result: RoundsResult) -> str:
    """The page as text; the same result gives the same bytes."""
    summary, scenario = result.summary, result.scenario
    (title, headline), *others = rounds_tables(summary)
    over = summary["round_s"]["mean"] / summary["usual_s"]
    return sectioned_page(
        scenario.name or title,
        f"{title + '; ' if scenario.name else ''}{summary['rounds']:,} rounds in {summary['seconds']:,.1f} s",
        [
            Section("Charts", figures=list(_figures(result))),
            Section("Figures of the rounds", headline),
            *table_sections(others),
            again(scenario),
        ],
        Answer(
            [
                KeyFigure("Time", f"{summary['seconds']:,.4g}", "s", f"{summary['rounds']:,} rounds"),
                KeyFigure("Round", f"{summary['round_s']['mean']:,.4g}", "s", f"P99 {summary['round_s']['p99']:,.4g}"),
                KeyFigure("Workers waiting", f"{summary['waiting_share']:.1%}", between="of their time"),
                KeyFigure("Answers too late", f"{summary['late_share']:.1%}"),
                KeyFigure("Work over one batch", f"{summary['work_ratio']:,.3g}", "x"),
            ],
            [
                f"A round takes {over:.2f} times as long as a worker that nothing slows down, and of the workers' "
                f"time {summary['waiting_share']:.0%} goes by while they have answered and others are waited for."
            ],
        ),
    )


def _figures(result: RoundsResult) -> Iterator[Figure]:
    outcome = result.outcome
    yield (
        "Time of the rounds",
        "In the order in which they run; dashed: an answer that nothing slows down.",
        over_rounds(outcome.seconds, "seconds", usual_seconds(result)),
    )
    yield (
        "How long rounds and answers take",
        "Share of them that took at most so long.",
        distribution(outcome.seconds, outcome.answers),
    )
    ended = rounds_ended(outcome)
    if ended.any():
        shown = f"The {FEW_WORKERS} of {ended.size:,} waited for most" if ended.size > ALL_WORKERS else "Workers"
        yield "Who was waited for", f"{shown}, by the rounds that ended with their answer.", waited_for(ended)
    if len(np.unique(outcome.used)) > 1:
        yield "Gradients used", "Of each round.", over_rounds(outcome.used.astype(np.float64), "gradients used")
    if result.scenario.progress is not None:
        yield "Where training stands", "The loss above its least, 1 at the start.", progress(outcome)


def over_rounds(values: Floats, what: str, usual: float | None = None) -> str:
    """A figure of every round, or of many rounds the mean of each run of equally many, between least and most."""
    figure, axes = drawing()
    parts = np.array_split(values, min(POINTS, values.size))
    ends = np.cumsum([len(p) for p in parts])
    edges = np.concatenate([[0], ends])
    if values.size > POINTS:
        least, most = [float(p.min()) for p in parts], [float(p.max()) for p in parts]
        axes.stairs(
            most, edges, baseline=least, fill=True, color=PALETTE[0], alpha=0.25, label="least to most", linewidth=0
        )
    axes.stairs(
        [float(p.mean()) for p in parts], edges, baseline=None, color=PALETTE[0], linewidth=1.2,
        label="mean" if values.size > POINTS else "each round",
    )  # fmt: skip
    if usual is not None:
        axes.axhline(usual, color=INK, linewidth=1.0, linestyle="--", label="nothing slow")
    axes.set(xlabel="round", ylabel=what, xlim=(0, values.size), ylim=(0, 1.05 * float(values.max())))
    legend_above(axes)
    return svg(figure, axes, legend=False)


def distribution(seconds: Floats, answers: Floats) -> str:
    """Distribution functions of the rounds' times and of the workers' answers, up to the latest end of a round."""
    figure, axes = drawing()
    some = answers.ravel()[:: max(1, answers.size // 1_000_000)]
    share = np.linspace(0.0, 1.0, POINTS + 1)
    for values, name, colour in ((some, "answers", PALETTE[1]), (seconds, "rounds", PALETTE[0])):
        axes.plot(np.quantile(values, share), share, color=colour, label=name, linewidth=1.4)
    axes.set(xlabel="seconds", ylabel="share", xlim=(0, 1.05 * float(seconds.max())), ylim=(0, 1.02))
    legend_above(axes)
    return svg(figure, axes, legend=False)


def waited_for(ended: NDArray[np.int64]) -> str:
    """A bar a worker, in their order where there are few, else those waited for most."""
    most = range(ended.size) if ended.size <= ALL_WORKERS else np.argsort(-ended, kind="stable")[:FEW_WORKERS]
    figure, axes = drawing()
    axes.bar([str(w) for w in most], [int(ended[w]) for w in most], color=PALETTE[0], linewidth=0)
    axes.set_axisbelow(True)
    axes.set(xlabel="worker", ylabel="rounds")
    return svg(figure, axes, legend=False)


def progress(outcome: RoundsOutcome) -> str:
    """The loss above its least over time, on a logarithmic axis."""
    seconds, gaps = outcome.seconds, outcome.gaps
    shown = np.unique(np.linspace(0, gaps.size - 1, min(gaps.size, 2 * POINTS)).astype(int))
    figure, axes = drawing()
    axes.plot(np.cumsum(seconds)[shown], gaps[shown], color=PALETTE[0], linewidth=1.4)
    axes.set_yscale("log")
    axes.set(xlabel="seconds", ylabel="loss above its least", xlim=(0, float(seconds.sum())))
    return svg(figure, axes, legend=False)
