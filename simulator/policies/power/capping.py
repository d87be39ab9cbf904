"""Rules that lower clocks as a row nears its power budget."""

from __future__ import annotations

from collections.abc import Sequence as Sequenced

from simulator.policies.power.views import RowView


class NoCapping:
    """Full clocks, whatever the row draws."""

    def clocks(self, row: RowView) -> list[float]:
        """1 for every server."""
        return [1.0] * len(row.servers)


class Uniform:
    """All servers alike, whatever their priority: at `clock` from a share `threshold` of the budget on.

    They run at full speed again when the row draws `margin` less than that. The baseline with one threshold and no
    priorities that POLCA (arXiv:2308.12908) is compared with.
    """

    def __init__(self, *, threshold: float = 0.89, clock: float = 0.787, margin: float = 0.05) -> None:
        _check_thresholds(threshold, threshold, margin)
        _check_clocks(clock=clock)
        self.threshold = threshold
        self.clock = clock
        self.margin = margin
        self._capped = False

    def clocks(self, row: RowView) -> list[float]:
        """One clock for all."""
        self._capped = row.share > self.threshold - (self.margin if self._capped else 0.0)
        return [self.clock if self._capped else 1.0] * len(row.servers)


class Polca:
    """Two thresholds on the row's power, work of low priority first.

    Above a share `t1` of the budget servers of low priority run at the first of the `low` clocks, above `t2` at the
    second, and if that, once in force, is not enough, those of high priority at `high`. Each step is taken back in
    turn when the row draws `margin` less than the threshold that led to it and all clocks are in force.

    After POLCA (Patel et al., arXiv:2308.12908; ASPLOS 2024, doi:10.1145/3620666.3651329). The defaults stand for
    thresholds of 80 % and 89 %, 5 % below which a cap is lifted, and for 1275 and 1110 MHz at low and 1305 MHz at high
    priority, of the 1410 MHz of an A100.
    """

    def __init__(
        self,
        *,
        t1: float = 0.80,
        t2: float = 0.89,
        margin: float = 0.05,
        low: Sequenced[float] = (0.904, 0.787),
        high: float = 0.926,
    ) -> None:
        _check_thresholds(t1, t2, margin)
        if len(low) != 2:
            raise ValueError(f"low is {low!r}: give two clocks, above t1 and above t2")
        _check_clocks(low=low[0], high=high)
        if not 0 < low[1] <= low[0]:
            raise ValueError(f"low is {low!r}: give a second clock above 0 and no higher than the first")
        self.t1, self.t2, self.margin = t1, t2, margin
        self._low = (1.0, low[0], low[1], low[1])
        self._high = (1.0, 1.0, 1.0, high)
        self._stage = 0

    def clocks(self, row: RowView) -> list[float]:
        """By priority, at the stage that the row's power calls for."""
        self._stage = self._next(row)
        low, high = self._low[self._stage], self._high[self._stage]
        return [low if server.low_priority else high for server in row.servers]

    def _next(self, row: RowView) -> int:
        stage, share = self._stage, row.share
        if share > self.t2:
            return 3 if stage == 3 or (stage == 2 and row.settled) else 2
        if share > self.t1 and stage == 0:
            return 1
        led_to = self.t2 if stage > 1 else self.t1
        return stage - 1 if stage and row.settled and share < led_to - self.margin else stage


def _check_thresholds(first: float, second: float, margin: float) -> None:
    if not 0 < first <= second:
        raise ValueError(f"thresholds {first} and {second}: give shares of the budget above 0, the smaller first")
    if not 0 <= margin < first:
        raise ValueError(f"margin is {margin}: give a share from 0 to less than the threshold {first}")


def _check_clocks(**clocks: float) -> None:
    for name, clock in clocks.items():
        if not 0 < clock <= 1:
            raise ValueError(f"{name} is {clock}: give a clock above 0 and at most 1, as a share of the full one")
