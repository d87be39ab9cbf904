"""The time of a run's iterations as rows of a table: an operator each."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.report.serving.step_time import KINDS, Spent, by

# Operators that take less of the time than this are one row together.
LEAST = 0.001


def operator_rows(spent: Sequence[Spent]) -> list[dict[str, str]]:
    """Operators by their share of the busy time, the bound that holds each most, and shares by kind of iteration."""
    total = sum(one.seconds for one in spent)
    kinds = [kind for kind in KINDS if any(one.kind == kind for one in spent)]
    found, small = [], []
    for name, seconds in by(spent, "name").items():
        mine = [one for one in spent if one.name == name]
        if seconds < LEAST * total:
            small += mine
        else:
            found.append(_row(name, mine[0].family, next(iter(by(mine, "bound"))), mine, kinds, total))
    return [*found, _row("all smaller ones", "", "", small, kinds, total)] if small else found


def _row(
    name: str, family: str, bound: str, mine: Sequence[Spent], kinds: Sequence[str], total: float
) -> dict[str, str]:
    seconds = by(mine, "kind")
    return {
        "operator": name,
        "kind": family,
        "bound": bound,
        "time (s)": f"{sum(seconds.values()):,.2f}",
        "share": f"{sum(seconds.values()) / total:.1%}",
        **{kind: f"{seconds.get(kind, 0.0) / total:.1%}" for kind in kinds},
    }
