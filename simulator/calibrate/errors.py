"""How far predictions lie from measurements, by group and over all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass
class Comparison:
    """Predicted against measured values, in groups with a name each; what was left out, by reason."""

    labels: list[dict[str, str]] = field(default_factory=list)
    predicted: list[Floats] = field(default_factory=list)
    measured: list[Floats] = field(default_factory=list)
    inside: list[Floats] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)

    def add(
        self, label: Mapping[str, str], predicted: Sequence[float] | Floats, measured: Sequence[float] | Floats,
        spread: float | None = None,
    ) -> None:  # fmt: skip
        """One group. `spread` is the standard deviation of log errors that the prediction claims, if it does."""
        found, wanted = np.asarray(predicted, dtype=np.float64), np.asarray(measured, dtype=np.float64)
        self.labels.append(dict(label))
        self.predicted.append(found)
        self.measured.append(wanted)
        within = np.abs(np.log(found / wanted)) <= 1.6449 * spread if spread else np.full(len(found), np.nan)
        self.inside.append(within.astype(np.float64))

    def skip(self, reason: str, rows: int = 1) -> None:
        """Rows that were not compared."""
        self.skipped[reason] = self.skipped.get(reason, 0) + rows

    def summary(self) -> dict[str, Any]:
        """Plain data: rows, skipped, one entry a group, and all together. Errors are fractions, not per cent."""
        groups = [
            {"group": label} | errors(predicted, measured, inside)
            for label, predicted, measured, inside in zip(
                self.labels, self.predicted, self.measured, self.inside, strict=True
            )
        ]
        rows = sum(len(m) for m in self.measured)
        overall = (
            errors(*(np.concatenate(x) for x in (self.predicted, self.measured, self.inside))) if rows else {"n": 0}
        )
        return {"rows": rows, "skipped": dict(self.skipped), "groups": groups, "overall": overall}


def errors(predicted: Floats, measured: Floats, inside: Floats | None = None) -> dict[str, Any]:
    """Absolute percentage errors (as fractions), the mean signed one, and the share inside the 90 % interval."""
    signed = predicted / measured - 1.0
    absolute = np.abs(signed)
    found: dict[str, Any] = {
        "n": len(signed),
        "mape": float(absolute.mean()),
        "median_ape": float(np.median(absolute)),
        "p90_ape": float(np.quantile(absolute, 0.9)),
        "bias": float(signed.mean()),
    }
    known = np.array([]) if inside is None else inside[~np.isnan(inside)]
    if len(known):
        found["coverage_90"] = float(known.mean())
    return found
