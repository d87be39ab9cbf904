"""The split of the scenario, whatever comes."""

from __future__ import annotations

from simulator.policies.splitting.views import DeviceView


class Fixed:
    """Prompts keep the share of the units that the scenario gives them."""

    def units(self, device: DeviceView) -> float:
        return device.units
