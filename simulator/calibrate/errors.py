"""How far predictions lie from measurements, by group and over all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass
class Comparison:
    """Predicted against measured values in groups, each with labels and a name a row; what was left out, by reason.

    `sources` says where the figures that time the rows are from, by the name of each calibration.
    """

    labels: list[dict[str, str]] = field(default_factory=list)
    predicted: list[Floats] = field(default_factory=list)
    measured: list[Floats] = field(default_factory=list)
    inside: list[Floats] = field(default_factory=list)
    names: list[Sequence[str]] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def add(
        self, label: Mapping[str, str], predicted: Sequence[float] | Floats, measured: Sequence[float] | Floats,
        spread: float | None = None, names: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """One group. `spread` is the standard deviation of log errors that the prediction claims, if it does.

        `names` tell its rows apart, where its label does not.
        """
        found, wanted = np.asarray(predicted, dtype=np.float64), np.asarray(measured, dtype=np.float64)
        self.labels.append(dict(label))
        self.predicted.append(found)
        self.measured.append(wanted)
        within = np.abs(np.log(found / wanted)) <= 1.6449 * spread if spread else np.full(len(found), np.nan)
        self.inside.append(within.astype(np.float64))
        self.names.append(names or [""] * len(found))

    def merge(self, other: Comparison) -> None:
        """Take in the groups, the reasons and the sources of another."""
        for mine, more in (
            (self.labels, other.labels),
            (self.predicted, other.predicted),
            (self.measured, other.measured),
            (self.inside, other.inside),
            (self.names, other.names),
        ):
            mine.extend(more)  # type: ignore[arg-type]
        self.sources.update(other.sources)
        for reason, rows in other.skipped.items():
            self.skip(reason, rows)

    def rows(self) -> Iterator[tuple[dict[str, str], str, float, float]]:
        """Label of its group, name, predicted and measured value of each row."""
        for label, names, predicted, measured in zip(
            self.labels, self.names, self.predicted, self.measured, strict=True
        ):
            for name, found, wanted in zip(names, predicted, measured, strict=True):
                yield label, name, float(found), float(wanted)

    def where(self, key: str, value: str) -> Comparison:
        """The groups that have this value of a label; an empty text stands for none."""
        chosen = Comparison()
        for i, label in enumerate(self.labels):
            if label.get(key, "") == value:
                chosen.labels.append(label)
                chosen.predicted.append(self.predicted[i])
                chosen.measured.append(self.measured[i])
                chosen.inside.append(self.inside[i])
                chosen.names.append(self.names[i])
        return chosen

    def overall(self) -> dict[str, Any]:
        """Errors of all rows together; {"n": 0} without any."""
        if not any(len(m) for m in self.measured):
            return {"n": 0}
        return errors(*(np.concatenate(x) for x in (self.predicted, self.measured, self.inside)))

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
        return {"rows": rows, "skipped": dict(self.skipped), "groups": groups, "overall": self.overall()}


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
