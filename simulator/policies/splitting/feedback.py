"""A split that follows the attainment of the objectives, as semi-PD adjusts it (Hong et al., arXiv:2504.19867)."""

from __future__ import annotations

from dataclasses import replace

from simulator.policies.splitting.views import Attained, DeviceView


class Feedback:
    """Every `interval_s` seconds, gives `by` of the units to the phase that keeps its objective less often.

    The shares of requests that kept the TTFT and the TPOT objective since the last decision are compared; while both
    reach `attainment`, or nobody was observed, the split stays. Changing the part of a running process takes another
    process, which is started beside it and takes over between two steps: a new split is in force `switch_s` seconds
    after its decision, and the phases work on meanwhile.
    """

    def __init__(
        self, *, interval_s: float = 5.0, attainment: float = 0.95, by: float = 0.1, switch_s: float = 1.0
    ) -> None:
        if not interval_s > 0 or switch_s < 0 or not 0 < by < 1 or not 0 < attainment <= 1:
            raise ValueError(
                "interval_s must be above 0, switch_s 0 or more, by between 0 and 1, attainment above 0 and at most 1"
            )
        self.interval_s = interval_s
        self.attainment = attainment
        self.by = by
        self.switch_s = switch_s
        self._decided = 0.0
        self._seen = Attained()
        self._due: tuple[float, float] | None = None

    def units(self, device: DeviceView) -> float:
        if self._due is not None:
            at, units = self._due
            if device.now < at:
                return device.units
            self._due = None
            return units
        if device.now - self._decided >= self.interval_s:
            wanted = self._wanted(device)
            self._decided, self._seen = device.now, replace(device.attained)
            if wanted != device.units:
                self._due = device.now + self.switch_s, wanted
                return self.units(device)
        return device.units

    def _wanted(self, device: DeviceView) -> float:
        now, before = device.attained, self._seen
        ttft = _share(now.ttft_met - before.ttft_met, now.ttft_missed - before.ttft_missed)
        tpot = _share(now.tpot_met - before.tpot_met, now.tpot_missed - before.tpot_missed)
        if min(ttft, tpot) >= self.attainment or ttft == tpot:
            return device.units
        moved = device.units + (self.by if ttft < tpot else -self.by)
        return min(device.splits, key=lambda split: abs(split - moved))


def _share(met: int, missed: int) -> float:
    return met / (met + missed) if met + missed else 1.0
