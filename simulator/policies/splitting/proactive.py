"""A split chosen before each step from what the steps would take (Nexus, arXiv:2507.06608)."""

from __future__ import annotations

from typing import Any

from simulator.policies.splitting.views import DeviceView, StepSeconds


class Proactive:
    """The quickest step of one phase among the splits that keep the other within its bound.

    Prompts are made quick while the KV cache is at most `kv_pressure` full, decoding above it, since only sequences
    that finish free blocks. A step of decoding may take `tpot_share` of the TPOT objective where that is given, else
    `decode_slack` times its quickest under any split; one of prompts `prompt_slack` times its quickest. If no split
    keeps the bound, the one nearest to it is taken. A split that differs by less than `hysteresis` from the present
    one is left as it is, unless the present one breaks the bound.
    """

    def __init__(
        self,
        *,
        decode_slack: float = 1.3,
        prompt_slack: float = 1.3,
        tpot_share: float | None = None,
        kv_pressure: float = 0.9,
        hysteresis: float = 0.1,
        objectives: Any = None,
    ) -> None:
        if decode_slack < 1 or prompt_slack < 1:
            raise ValueError("decode_slack and prompt_slack multiply the quickest step: give 1 or more")
        if tpot_share is not None and not tpot_share > 0:
            raise ValueError(f"tpot_share {tpot_share} must be above 0")
        tpot_ms: float | None = getattr(objectives, "tpot_ms", None)
        if tpot_share is not None and tpot_ms is None:
            raise ValueError("tpot_share needs an objective: give objectives.tpot_ms")
        self.decode_slack = decode_slack
        self.prompt_slack = prompt_slack
        self.kv_pressure = kv_pressure
        self.hysteresis = hysteresis
        self._most = None if tpot_share is None or tpot_ms is None else tpot_share * tpot_ms / 1e3

    def units(self, device: DeviceView) -> float:
        found = {split: device.predicted(split) for split in device.splits}
        if device.kv_utilisation > self.kv_pressure:
            most = self.prompt_slack * min(s.prompts for s in found.values())
            return self._chosen(device.units, {u: (s.prompts / most, s.decoding) for u, s in found.items()})
        most = self._decode_bound(found)
        return self._chosen(device.units, {u: (s.decoding / most, s.prompts) for u, s in found.items()})

    def _decode_bound(self, found: dict[float, StepSeconds]) -> float:
        return self._most or self.decode_slack * min(s.decoding for s in found.values())

    def _chosen(self, present: float, found: dict[float, tuple[float, float]]) -> float:
        """The best of splits given as (seconds of one phase over its bound, seconds of the other)."""
        kept = {units: other for units, (over, other) in found.items() if over <= 1.0}
        if not kept:
            return min(found, key=lambda units: found[units][0])
        best = min(kept, key=kept.__getitem__)
        return present if present in kept and abs(best - present) < self.hysteresis - 1e-9 else best
