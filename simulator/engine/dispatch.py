"""How requests reach replicas: the router's choice, admission, and a queue while no replica serves."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from simulator.engine.fleet import Fleet
from simulator.errors import InputError
from simulator.policies.admission import Admission
from simulator.policies.routing import Router
from simulator.policies.sequence import Sequence

# A request that failures have interrupted this often will not get through.
MOST_RESTARTS = 1000


class Dispatcher:
    """Sends each sequence to a serving replica of the fleet, holds it while there is none, or sheds it (`on_shed`)."""

    def __init__(
        self, fleet: Fleet, router: Router, admission: Admission | None, on_shed: Callable[[Sequence], None]
    ) -> None:
        self.fleet = fleet
        self.router = router
        self.admission = admission
        self.held: deque[tuple[Sequence, bool]] = deque()
        self._on_shed = on_shed
        fleet.on_serving = self._place_held

    def place(self, sequence: Sequence, *, again: bool = False) -> None:
        """Route a sequence now; `again`, after a failure, it is admitted already."""
        serving = self.fleet.serving
        if not serving:
            self.held.append((sequence, again))
            return
        replica = serving[self.router.choose(sequence, serving)] if len(serving) > 1 else serving[0]
        if self.admission is None or again or self.admission.admits(sequence, replica, self.fleet.clock.now):
            replica.submit(sequence)
        else:
            self._on_shed(sequence)

    def place_again(self, sequences: list[Sequence]) -> None:
        """Send what a failure threw out to other replicas, which compute it again; in the order of the trace.

        Raises `InputError` for a sequence that failures never let finish.
        """
        for sequence in sorted(sequences, key=lambda s: s.index):
            if sequence.preemptions > MOST_RESTARTS:
                raise InputError(
                    f"request {sequence.index} was interrupted {sequence.preemptions} times: "
                    "failures.mtbf_s is too short for any request to finish, raise it"
                )
            self.place(sequence, again=True)

    def _place_held(self) -> None:
        while self.held and self.fleet.serving:
            sequence, again = self.held.popleft()
            self.place(sequence, again=again)
