"""A difference in words: better, worse, or not to be told from noise or from the model's own error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simulator.comparison.intervals import Interval
from simulator.comparison.metrics import Better

Outcome = Literal["same", "noise", "model error", "too few", "untested", "better", "worse", "other"]
# Two runs that do the same things may add the same times in another order.
SAME = 1e-9


@dataclass(frozen=True)
class Difference:
    """A figure in the baseline and in a scenario, with the intervals of the difference that are known.

    `sampling` allows for another load of the same kind, `model` for the error of the kernels' times; None where
    there is none. `tested` says whether the figure could have a sampling interval at all: a run's totals have none.
    """

    baseline: float
    scenario: float
    better: Better | None
    sampling: Interval | None = None
    model: Interval | None = None
    tested: bool = True

    @property
    def value(self) -> float:
        """Scenario minus baseline."""
        return self.scenario - self.baseline

    @property
    def relative(self) -> float | None:
        """The difference as a share of the baseline; None where that is zero."""
        return self.value / self.baseline if self.baseline else None

    @property
    def outcome(self) -> Outcome:
        """What the difference amounts to; the first reason to doubt it counts."""
        if abs(self.value) <= SAME * max(abs(self.baseline), abs(self.scenario)):
            return "same"
        doubts: tuple[tuple[Outcome, Interval | None], ...] = (("noise", self.sampling), ("model error", self.model))
        for doubt, interval in doubts:
            if interval is not None and self.value * interval[self.value < 0] <= 0:
                return doubt
        if self.sampling is None and (self.tested or self.model is None):
            return "too few" if self.tested else "untested"
        if self.better is None:
            return "other"
        return "better" if (self.value < 0) == (self.better == "lower") else "worse"

    def words(self, unit: str, scale: float) -> str:
        """The outcome as a clause; the value times `scale` is in `unit`."""
        change = f"{self._amount(unit, scale)} {'lower' if self.value < 0 else 'higher'}"
        return {
            "same": "no difference",
            "noise": f"noise ({change})",
            "model error": f"within the model's own error ({change})",
            "too few": f"too few requests to tell ({change})",
            "untested": change,
            "other": change,
            "better": f"better: {change}",
            "worse": f"worse: {change}",
        }[self.outcome]

    def _amount(self, unit: str, scale: float) -> str:
        """How much it is, without sign: points of a percentage, else a share of the baseline where that helps."""
        if unit.startswith("%"):
            return f"{abs(self.value) * scale:.2g} points"
        if self.relative is None or abs(self.relative) >= 100:
            size = abs(self.value) * scale
            return f"{size:,.0f} {unit}" if size >= 100 else f"{size:.3g} {unit}"
        return f"{abs(self.relative):,.1%}" if abs(self.relative) >= 0.001 else "under 0.1%"
