"""What the model's own error leaves of a difference: all scenarios run again with the same kernels redrawn.

Common random numbers (Law, "Simulation Modeling and Analysis", 5th edition, section 11.2): a curve that times
kernels in several scenarios errs alike in all of them, so that most of its error cancels in the difference. Curves
of other devices, formats or calibrations err on their own, which is cautious.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from simulator.assembly.pools import deployment_of
from simulator.comparison.contenders import Contender
from simulator.comparison.intervals import Interval
from simulator.comparison.metrics import REQUEST_METRICS, RUN_FIGURES, paired, run_figure, statistic
from simulator.engine.deployment import Deployment
from simulator.engine.streams import stream
from simulator.experiment import Result, run
from simulator.kinds import only_serving
from simulator.uncertainty import LEVEL, formats, refuse_count, spreads

# By scenario after the baseline: the figure's name (metric and statistic, or the path in the summary) to its value.
Figures = dict[tuple[str, str], float]


def kernel_factors(deployment: Deployment, seed: int, number: int) -> dict[str, float]:
    """The factor of each family of kernels in replication `number`: equal for equal curves, else independent."""
    names, found = formats(deployment), {}
    for family, spread in spreads(deployment).items():
        curve = f"{deployment.device.id} {deployment.calibrations.name} {family} {names.get(family, '')}"
        found[family] = float(np.exp(stream(seed, f"uncertainty {number} {curve}").normal(0.0, spread)))
    return found


def difference_intervals(
    found: Sequence[Contender], replications: int, on_progress: Callable[[int], None] | None = None
) -> list[dict[tuple[str, str], Interval]]:
    """For each scenario after the first, the 90 % intervals of its differences from the first, by figure.

    Raises `InputError` for fewer than 2 replications.
    """
    refuse_count(replications)
    scenarios = [only_serving(c.scenario, "uncertainty") for c in found]
    deployments = [deployment_of(scenario) for scenario in scenarios]
    rows: list[dict[tuple[str, str], list[float]]] = [{} for _ in found[1:]]
    for number in range(replications):
        results = [
            run(scenario, factors=kernel_factors(d, scenarios[0].seed, number), on_progress=on_progress)
            for scenario, d in zip(scenarios, deployments, strict=True)
        ]
        for values, row in zip(differences_of(results), rows, strict=True):
            for key, value in values.items():
                row.setdefault(key, []).append(value)
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    return [{key: _ends(np.quantile(values, ends)) for key, values in row.items()} for row in rows]


def differences_of(results: Sequence[Result]) -> list[Figures]:
    """For each result after the first, the difference of every figure from the first's, over paired requests."""
    pairs = paired(results)
    found = []
    for i in range(1, len(results)):
        figures: Figures = {}
        for metric in REQUEST_METRICS:
            known, base, other = pairs.of(metric.name, i)
            if known.any():
                for name in metric.statistics:
                    figures[metric.name, name] = statistic(other, name) - statistic(base, name)
        for figure in RUN_FIGURES:
            own, theirs = (run_figure(r.summary, figure) for r in (results[0], results[i]))
            if own is not None and theirs is not None:
                figures[figure.path] = theirs - own
        found.append(figures)
    return found


def _ends(values: np.ndarray) -> Interval:
    return float(values[0]), float(values[1])
