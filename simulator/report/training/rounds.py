"""Figures of rounds of gradients: their times, what they used, who was waited for, and what was in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.engine.training.rounds import RoundsOutcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.rounds import RoundsResult

MOST_WORKERS = 8


def summarise_rounds(result: RoundsResult) -> dict[str, Any]:
    """Plain data. `work_ratio` is what all workers compute a round over a batch, `late_share` that of late answers.

    `usual_s` is the answer of a worker that nothing slows down; `waiting_share` the share of the workers' time in which
    they have answered and the round goes on. `waited_for` are the workers with whose answers most rounds ended.
    """
    outcome, scenario, workers = result.outcome, result.scenario, result.scenario.workers
    seconds = outcome.seconds
    late = outcome.answers > seconds[:, None]
    waited = seconds @ (~late).sum(axis=1) - outcome.answers.sum(where=~late)
    ended = rounds_ended(outcome)
    answered = (outcome.answers == seconds[:, None]).any(axis=1)
    most = np.argsort(-ended, kind="stable")[:MOST_WORKERS]
    return {
        "workers": workers,
        "rule": scenario.rule.policy,
        "rounds": int(seconds.size),
        "seconds": float(seconds.sum()),
        "round_s": {
            "mean": float(seconds.mean()),
            "p50": float(np.percentile(seconds, 50)),
            "p99": float(np.percentile(seconds, 99)),
        },
        "usual_s": usual_seconds(result),
        "load_of_a_worker": outcome.load,
        "work_ratio": outcome.load * workers,
        "gradients_used": float(outcome.used.mean()),
        "late_share": float(late.mean()),
        "waiting_share": float(waited / (seconds.sum() * workers)),
        "ended_by_deadline": int((~answered).sum()),
        "waited_for": [
            {"worker": int(w), "rounds": int(ended[w]), "late_share": float(late[:, w].mean())}
            for w in most
            if ended[w]
        ],
        "gap": outcome.progress.gap if scenario.progress else None,
    }


def usual_seconds(result: RoundsResult) -> float:
    """Seconds until a worker answers that nothing slows down."""
    return result.scenario.work.base_s + result.outcome.load * result.scenario.work.batch_s


def rounds_ended(outcome: RoundsOutcome) -> NDArray[np.int64]:
    """Of each worker, how many rounds ended with its answer, with others' at once maybe; a deadline is nobody's."""
    return np.asarray((outcome.answers == outcome.seconds[:, None]).sum(axis=0))


def rounds_tables(summary: dict[str, Any]) -> list[tuple[str, list[dict[str, str]]]]:
    """Titles and rows: headline figures, and who was waited for."""
    rows = [
        {"figure": "time", "value": f"{summary['seconds']:,.2f} s"},
        {"figure": "rounds", "value": f"{summary['rounds']:,}"},
        {"figure": "round, mean", "value": f"{summary['round_s']['mean']:,.4f} s"},
        {"figure": "round, P99", "value": f"{summary['round_s']['p99']:,.4f} s"},
        {"figure": "answer that nothing slows down", "value": f"{summary['usual_s']:,.4f} s"},
        {"figure": "work over one batch", "value": f"{summary['work_ratio']:,.3f}"},
        {"figure": "gradients used a round", "value": f"{summary['gradients_used']:,.2f}"},
        {"figure": "answers too late", "value": f"{summary['late_share']:.2%}"},
        {"figure": "workers' time waiting for others", "value": f"{summary['waiting_share']:.1%}"},
        {"figure": "rounds that a deadline ended", "value": f"{summary['ended_by_deadline']:,}"},
    ]
    if summary["gap"] is not None:
        rows.append({"figure": "loss above its least at the end", "value": f"{summary['gap']:.3%}"})
    waited = [
        {
            "worker": str(w["worker"]),
            "rounds it ended": f"{w['rounds']:,}",
            "share": f"{w['rounds'] / summary['rounds']:.1%}",
            "own answers too late": f"{w['late_share']:.1%}",
        }
        for w in summary["waited_for"]
    ]
    tables = [(f"{summary['workers']:,} workers, {summary['rule']}", rows)]
    return [*tables, ("who was waited for most", waited)] if waited else tables
