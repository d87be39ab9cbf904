"""What a policy that splits a device between prompts and decoding sees and answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol


class StepSeconds(NamedTuple):
    """Seconds of either phase's step."""

    prompts: float
    decoding: float


@dataclass(slots=True)
class Attained:
    """Requests since the start of the run by whether they kept their objectives; without an objective all do.

    A request counts for TTFT when its first token is out, for TPOT when it has finished.
    """

    ttft_met: int = 0
    ttft_missed: int = 0
    tpot_met: int = 0
    tpot_missed: int = 0


class DeviceView(Protocol):
    """A device on which both phases have a step to run now; `units` is the share that prompts have of it."""

    @property
    def now(self) -> float: ...

    @property
    def units(self) -> float: ...

    @property
    def splits(self) -> tuple[float, ...]:
        """The shares that prompts may get, rising."""
        ...

    @property
    def prompt_backlog(self) -> int:
        """Prompt tokens submitted and not computed yet."""
        ...

    @property
    def decoding(self) -> int:
        """Sequences that decode."""
        ...

    @property
    def kv_utilisation(self) -> float:
        """Share of the KV blocks that are held."""
        ...

    @property
    def attained(self) -> Attained: ...

    def predicted(self, units: float) -> StepSeconds:
        """Seconds of the steps now to run, whole and side by side, were prompts to have `units` of the device."""
        ...


class SplitPolicy(Protocol):
    """Decides how much of a device prompts get while both phases work."""

    def units(self, device: DeviceView) -> float:
        """The share of the units, one of `splits`, that prompts have from now on. Asked as a step begins."""
        ...
