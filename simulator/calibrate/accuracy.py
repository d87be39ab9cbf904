"""The accuracy page: every validation set, its size and errors, beside what peers publish."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulator.calibrate.check_kernels import check_kernels
from simulator.calibrate.check_models import check_models
from simulator.calibrate.check_serving import check_serving
from simulator.calibrate.check_steady_state import check_steady_state
from simulator.calibrate.check_training import check_training
from simulator.calibrate.errors import Comparison
from simulator.errors import InputError

INTRODUCTION = """# Accuracy

Written by `simulator validate all DIR --out docs/accuracy.md`, where DIR holds measurements in the layout below.
Errors are absolute percentage errors |predicted / measured - 1|. Nothing is fitted per model: kernels are fitted for a
device and a backend, the overheads of an engine are one set for all devices and models.
"""
PEERS = """## What peers publish

| system | set | error |
| --- | --- | --- |
| NeuSight (arXiv:2407.13853) | operators of devices not trained on | 9 to 26 % mean by operator |
| LLMCompass (ISCA 2024) | operators of A100, MI210, TPU v3 | about 10 % mean |
| AIConfigurator 0.12 | the steady-state rows below | TPOT 16 %, TTFT 49 % median, a third of the rows refused |
| LLMServingSim 2.0 | the two vLLM RTX runs | 0.2 to 4 %, with a profile of each model |
| Calculon (SC 2023) | iterations of training runs on A100 | 3.65 % mean |
| NeuSight (arXiv:2407.13853) | the whole models above | 10.4 % mean, a plain roofline 26.6 % |
| BLIS | the H100 experiments | E2E 6.7 %, ITL 7.1 %, TTFT 17.6 % median |

Two versions of one library time the same matrix product 3 to 4 % apart in the median, and clean reruns of a serving
benchmark differ by 2 to 4 %: no model can be nearer than that.
"""
LAYOUT = """## Layout of measurements

`kernels/*.parquet`: one row a measurement, with `device`, `op`, the shape columns of the operator, `dtype`, `backend`
and `latency_us`. `serving/steady_state.csv`: one row a deployment under a fixed number of clients. `serving/*/`: a
recorded run, `engine.json` and `requests.jsonl`. `serving/*.json`: experiments with measured latencies.
`training/llm_pretraining.csv`: one row a run, model, layout and seconds or FLOP/s. `models_e2e/*.csv`: one row a model,
device and batch, with `latency_ms`.
"""


@dataclass(frozen=True)
class MeasuredSets:
    """Comparisons with every set of a folder of measurements; of kernels as calibrated and by datasheets only."""

    kernels: tuple[tuple[Comparison, Comparison], ...]
    serving: tuple[Comparison, ...]
    steady_state: Comparison | None
    training: Comparison | None
    models: Comparison | None

    def by_name(self) -> dict[str, Comparison]:
        """One comparison a set that there is."""
        found = {
            "Kernels": _merged(known for known, _ in self.kernels),
            "Kernels by datasheet": _merged(unknown for _, unknown in self.kernels),
            "Serving runs": _merged(self.serving),
            "Steady state": self.steady_state,
            "Training runs": self.training,
            "Whole models": self.models,
        }
        return {
            name: comparison for name, comparison in found.items() if comparison is not None and comparison.measured
        }


def measured_sets(folder: str | Path, *, jobs: int = -1) -> MeasuredSets:
    """Compare with every set of the folder. Raises `InputError` if it holds no measurements."""
    where = Path(folder)
    kernels = sorted((where / "kernels").glob("*.parquet"))
    if not kernels:
        raise InputError("no kernels/*.parquet in it", file=where)
    serving = where / "serving"
    runs = sorted(p.parent for p in serving.glob("*/engine.json")) + sorted(serving.glob("*.json"))
    steady, training = serving / "steady_state.csv", where / "training" / "llm_pretraining.csv"
    models = where / "models_e2e" / "transformers_single_gpu.csv"
    return MeasuredSets(
        tuple((check_kernels(p, held_out=True), check_kernels(p, held_out=True, calibrated=False)) for p in kernels),
        tuple(check_serving(path) for path in runs),
        check_steady_state(steady, jobs=jobs) if steady.exists() else None,
        check_training(training) if training.exists() else None,
        check_models(models) if models.exists() else None,
    )


def _merged(comparisons: Iterable[Comparison]) -> Comparison:
    found = Comparison()
    for comparison in comparisons:
        found.merge(comparison)
    return found


def accuracy_page(found: MeasuredSets) -> str:
    """The page as Markdown."""
    parts = [INTRODUCTION, "## Kernels\n", *_kernels(found.kernels), "## Serving runs\n", *_serving(found.serving)]
    if found.steady_state is not None:
        parts += ["## Deployments at a fixed concurrency\n", *_steady_state(found.steady_state)]
    if found.training is not None:
        parts += ["## Training runs\n", *_training(found.training)]
    if found.models is not None:
        parts += ["## Whole models\n", *_models(found.models)]
    return "\n".join([*parts, PEERS, LAYOUT])


def _kernels(sets: Sequence[tuple[Comparison, Comparison]]) -> Iterator[str]:
    yield (
        "Shapes that no fit has seen (a third of each set), by device and operator. *Coverage* is the share of them "
        "inside\nthe 90 % interval that the calibration claims. *Datasheet only* times the device as if it had never "
        "been measured, by\nthe curves of its relatives.\n"
    )
    lines = []
    for known, unknown in sets:
        for op in sorted({label["op"] for label in known.labels}):
            fitted, datasheet = (c.where("op", op).overall() for c in (known, unknown))
            lines.append(
                [
                    known.labels[0]["device"], op, f"{fitted['n']:,}", _percent(fitted["median_ape"]),
                    _percent(fitted["mape"]), _percent(fitted.get("coverage_90")), _percent(datasheet["median_ape"]),
                ]
            )  # fmt: skip
    yield _table(["device", "operator", "rows", "median", "mean", "coverage", "datasheet only, median"], lines)


def _serving(runs: Sequence[Comparison]) -> Iterator[str]:
    yield "The same requests, engine settings and device, replayed.\n"
    lines = []
    for found in runs:
        for label, predicted, measured in zip(found.labels, found.predicted, found.measured, strict=True):
            if label["statistic"] in ("mean", "p99") and label.get("stage", "-1") == "-1":
                name = f"{label['run']} {label.get('model', '')}".strip()
                error = predicted[0] / measured[0] - 1.0
                lines.append(
                    [name, label["metric"], label["statistic"], *_milliseconds(predicted, measured), f"{error:+.1%}"]
                )
    yield _table(["run", "metric", "statistic", "predicted (ms)", "measured (ms)", "error"], lines)


def _steady_state(found: Comparison) -> Iterator[str]:
    lines = [
        [label["device"], label["backend"], label["model"], label["metric"], f"{e['n']:,}"]
        + [_percent(e[k]) for k in ("median_ape", "mape")]
        + [f"{e['bias']:+.1%}"]
        for label, e in ((g["group"], g) for g in found.summary()["groups"])
    ]
    for metric in ("ttft", "tpot"):
        e = found.where("metric", metric).overall()
        lines.append(
            [
                "all",
                "",
                "",
                metric,
                f"{e['n']:,}",
                *(_percent(e[k]) for k in ("median_ape", "mape")),
                f"{e['bias']:+.1%}",
            ]
        )
    yield _table(["device", "engine", "model", "metric", "rows", "median", "mean", "bias"], lines)
    yield (
        "Left out: " + "; ".join(f"{count:,} rows: {reason}" for reason, count in sorted(found.skipped.items())) + ".\n"
    )


def _training(found: Comparison) -> Iterator[str]:
    yield "Iterations of published runs, nothing fitted per row.\n"
    lines = [
        [label["model"], label["gpus"], label["recompute"], f"{p[0]:,.2f}", f"{m[0]:,.2f}", f"{p[0] / m[0] - 1.0:+.1%}"]
        for label, p, m in zip(found.labels, found.predicted, found.measured, strict=True)
    ]
    yield _table(["model", "GPUs", "recomputation", "predicted (s)", "measured (s)", "error"], lines)
    yield _overall(found)


def _models(found: Comparison) -> Iterator[str]:
    yield "Forward passes, and training steps without an optimiser, of transformers in PyTorch's eager mode.\n"
    lines = []
    for device in sorted({label["device"] for label in found.labels}):
        e = found.where("device", device).overall()
        lines.append(
            [device, f"{e['n']:,}", *(_percent(e[k]) for k in ("median_ape", "mape", "p90_ape")), f"{e['bias']:+.1%}"]
        )
    yield _table(["device", "rows", "median", "mean", "P90", "bias"], lines)
    yield _overall(found)


def _overall(found: Comparison) -> str:
    """The errors of all rows, and what was left out."""
    summary = found.summary()
    e, worst = (
        summary["overall"],
        max(np.abs(p / m - 1.0).max() for p, m in zip(found.predicted, found.measured, strict=True)),
    )
    text = (
        f"All {e['n']:,} rows: {_percent(e['mape'])} mean, {_percent(e['median_ape'])} median, {_percent(worst)} worst."
    )
    left_out = "; ".join(f"{count:,} rows: {reason}" for reason, count in sorted(found.skipped.items()))
    return text + (f" Left out: {left_out}.\n" if left_out else "\n")


def _milliseconds(*values: np.ndarray) -> list[str]:
    return [f"{v[0] * 1e3:,.1f}" for v in values]


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
