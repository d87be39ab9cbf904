"""What a federated server decides: how many clients work, when it updates the model, and when it gives clients up."""

from __future__ import annotations

from math import inf
from typing import Protocol


def at_least(name: str, value: float, least: float) -> None:
    """Raise `ValueError` naming a value that is below `least`."""
    if value < least:
        raise ValueError(f"{name} is {value}, and has to be at least {least:g}")


class Server(Protocol):
    """Decides by counts alone: `working` clients are under way, `received` updates wait to be taken in.

    `deadline` is how many seconds after the last update of the model clients are given up; infinite: never. With
    `drops` those still under way at an update are given up too.
    """

    deadline: float
    drops: bool

    def starts(self, working: int, received: int) -> int:
        """How many clients more begin to work on the present model."""
        ...

    def updates(self, working: int, received: int) -> bool:
        """Whether the updates received are taken into the model now."""
        ...


class Synchronous:
    """Rounds of `clients` clients, which end with the last or after `deadline_s` (McMahan et al., AISTATS 2017).

    `over` selects so many more than are waited for (Bonawitz et al., MLSys 2019).
    """

    drops = True

    def __init__(self, clients: int = 10, deadline_s: float = inf, over: int = 0) -> None:
        at_least("clients", clients, 1)
        at_least("over", over, 0)
        at_least("deadline_s", deadline_s, 1e-9)
        self.clients, self.deadline, self.over = clients, deadline_s, over

    def starts(self, working: int, received: int) -> int:
        return self.clients + self.over if not working and not received else 0

    def updates(self, working: int, received: int) -> bool:
        return received >= self.clients or (not working and received > 0)


class Buffered:
    """`clients` always work; the model is updated with every `buffer` updates (FedBuff: arXiv:2106.06639)."""

    deadline = inf
    drops = False

    def __init__(self, clients: int = 100, buffer: int = 10) -> None:
        at_least("clients", clients, 1)
        at_least("buffer", buffer, 1)
        self.clients, self.buffer = clients, buffer

    def starts(self, working: int, received: int) -> int:
        return max(0, self.clients - working)

    def updates(self, working: int, received: int) -> bool:
        return received >= self.buffer


class Asynchronous(Buffered):
    """Every update is taken in at once (FedAsync: Xie et al., arXiv:1903.03934)."""

    def __init__(self, clients: int = 100) -> None:
        super().__init__(clients, buffer=1)


class Polling:
    """All clients work all the time; every `interval_s` the server asks `clients` of them for what they have so far.

    They send the local steps that they have done, at most as many as the scenario says, and go on from the new model
    (FAVANO: Leconte, Nguyen and Moulines, arXiv:2305.16099).
    """

    def __init__(self, clients: int = 10, interval_s: float = 10.0) -> None:
        at_least("clients", clients, 1)
        at_least("interval_s", interval_s, 1e-9)
        self.clients, self.interval = clients, interval_s
