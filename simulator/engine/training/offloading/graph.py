"""Tasks in the making: each is numbered as it is added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from simulator.engine.training.offloading.channels import Task


class Graph:
    """Collects the tasks of a step; every task waits only for tasks added before it."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self._by_stream: dict[str, list[int]] = {}

    def add(
        self,
        name: str,
        stream: str,
        demands: Mapping[str, float] | None = None,
        *,
        after: Iterable[int | None] = (),
        least: float = 0.0,
        takes: Mapping[str, float] | None = None,
        gives: Mapping[str, float] | None = None,
        beside: tuple[float, ...] = (),
        crowds: int | None = None,
    ) -> int:
        """Add a task and give its number; what it waits for may be None."""
        number = len(self.tasks)
        waits = tuple(n for n in after if n is not None)
        self.tasks.append(Task(name, stream, demands or {}, least, waits, takes or {}, gives or {}, beside, crowds))
        self._by_stream.setdefault(stream, []).append(number)
        return number

    def back(self, stream: str, count: int) -> int | None:
        """The number of a stream's task `count` before its last (1: the last), None if there is none."""
        found = self._by_stream.get(stream, [])
        return found[-count] if 0 < count <= len(found) else None

    def lasts(self) -> list[int]:
        """The last task of every stream."""
        return [numbers[-1] for numbers in self._by_stream.values()]
