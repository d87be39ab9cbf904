"""A long training run by events: it trains until something happens, and time goes on one account or another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from simulator.engine.training.long_run.arranged import Arranged
from simulator.engine.training.long_run.checkpoints import Checkpoints
from simulator.engine.training.long_run.cluster import Nodes
from simulator.engine.training.long_run.failures import Failure
from simulator.errors import InputError
from simulator.policies.elastic.arrangement import Arrangement, Elastic

ACCOUNTS = ("training", "lost_work", "checkpoint", "detection", "reschedule", "loading", "waiting", "rearranging")
# A run that fails more often does not get on; nobody waits for its end.
MOST_FAILURES = 100_000
NEVER = Failure(inf, "", 0, 0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Goal:
    """When a run ends: after `seconds`, or when `batches` global batches are trained on and kept."""

    seconds: float = inf
    batches: float = inf


@dataclass(frozen=True, slots=True)
class Restarting:
    """Seconds of a restart: to start the job again on its nodes, and to load the last checkpoint."""

    reschedule: float = 0.0
    load: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run: batches trained on and kept, and `spent` seconds by account, `seconds` in all.
    `lost_work` is training that was done again; `failures` counts by cause.
    """

    seconds: float
    batches: float
    spent: dict[str, float]
    failures: dict[str, int]
    restarts: int
    changes: int
    checkpoints: int


@dataclass(frozen=True, slots=True)
class _Saved:
    """Progress at a checkpoint: batches and training seconds, and when it is stored."""

    batches: float
    trained: float
    at: float


class LongRun:
    """One run; `run` may be called once."""

    def __init__(
        self,
        arranged: Arranged,
        nodes: Nodes,
        failures: Iterator[Failure],
        checkpoints: Checkpoints,
        elastic: Elastic,
        restarting: Restarting,
        goal: Goal,
    ) -> None:
        self._arranged, self._nodes, self._failures = arranged, nodes, failures
        self._checkpoints, self._elastic, self._restarting, self._goal = checkpoints, elastic, restarting, goal
        self._spent = dict.fromkeys(ACCOUNTS, 0.0)
        self._counts: Counter[str] = Counter()
        self._now = self._batches = self._since = self._started = 0.0
        self._stored = _Saved(0.0, 0.0, 0.0)
        self._storing: _Saved | None = None
        self._next = NEVER
        self._restarts = self._changes = self._saves = 0
        self._arrangement: Arrangement | None = elastic.arrange(nodes.alive(), arranged.layers)
        self._look_ahead()

    def run(self) -> Outcome:
        """To the goal.

        Raises `ValueError` if a whole cluster cannot be arranged, `InputError` for a run that hardly does but fail.
        """
        if self._arrangement is None:
            raise ValueError("the elastic policy arranges nothing on a whole cluster")
        while not self._over:
            self._train(self._arrangement)
            if self._over:
                break
            if self._next.at <= self._now:
                self._break_down()
            elif self._nodes.next_repair <= self._now:
                self._welcome()
            else:
                self._save()
        return Outcome(
            self._now, self._batches, self._spent, dict(self._counts), self._restarts, self._changes, self._saves
        )

    @property
    def _over(self) -> bool:
        return self._now >= self._goal.seconds or self._batches >= self._goal.batches

    def _train(self, arrangement: Arrangement) -> None:
        """Until the goal, a failure, a repair or a checkpoint, whatever comes first."""
        rate = arrangement.batch / self._arranged.seconds(arrangement)
        due = self._now + max(0.0, self._checkpoints.interval - self._since)
        if self._storing is not None:
            due = max(due, self._storing.at)
        finish = self._now + (self._goal.batches - self._batches) / rate
        end = max(self._now, min(due, finish, self._next.at, self._nodes.next_repair, self._goal.seconds))
        seconds = end - self._now
        self._spent["training"] += seconds
        self._since += seconds
        self._batches = self._goal.batches if end == finish else self._batches + seconds * rate
        self._now = end

    def _save(self) -> None:
        """A checkpoint counts from the moment when it is stored, if no failure comes before."""
        self._settle()
        if not self._spend("checkpoint", self._checkpoints.pause):
            return
        self._saves += 1
        self._since = 0.0
        self._storing = _Saved(self._batches, self._spent["training"], self._now + self._checkpoints.store)
        self._settle()

    def _settle(self) -> None:
        if self._storing is not None and self._storing.at <= self._now:
            self._stored, self._storing = self._storing, None

    def _spend(self, account: str, seconds: float) -> bool:
        """Let time go by on an account. Whether it went by without a failure and before the end."""
        end = min(self._now + seconds, self._next.at, self._goal.seconds)
        whole = end == self._now + seconds
        self._spent[account] += max(0.0, end - self._now)
        self._now = max(self._now, end)
        return whole and not self._over

    def _break_down(self) -> None:
        """From a failure to the next step: notice it, wait for nodes if need be, and restart or re-arrange."""
        self._settle()
        kept = self._elastic.keeps_state
        self._lose(to_checkpoint=not kept)
        ready = False
        while not ready and not self._over:
            detection = self._strike()
            if not self._spend("detection", detection):
                continue
            found = self._elastic.arrange(self._nodes.alive(), self._arranged.layers)
            if found is None:
                kept = self._lose(to_checkpoint=True)
                found = self._wait()
            if found is not None:
                ready = self._change(found, joined=True) if kept else self._restart(found)

    def _strike(self) -> float:
        """Take in all failures up to now. Seconds until the last of them is noticed; 0 if there was none."""
        detection = 0.0
        while self._next.at <= self._now:
            self._repair_until(self._next.at)
            self._counts[self._next.cause] += 1
            if self._counts.total() > MOST_FAILURES:
                raise InputError(
                    f"run: over {MOST_FAILURES:,} failures in {self._now / 86400.0:.3g} days, with "
                    f"{self._batches:,.0f} steps done: raise mtbf_h, or take a shorter run"
                )
            self._nodes.fail(self._next)
            detection = max(detection, self._next.detection)
            self._look_ahead()
        self._repair_until(self._now)
        return detection

    def _repair_until(self, seconds: float) -> None:
        while self._nodes.next_repair <= seconds:
            self._nodes.repair()

    def _look_ahead(self) -> None:
        """The next failure that hits a node of the job: where there is none nothing fails."""
        self._next = next(self._failures, NEVER)
        while self._next is not NEVER and not self._nodes.hit_by(self._next):
            self._next = next(self._failures, NEVER)

    def _lose(self, *, to_checkpoint: bool) -> bool:
        """Take back what is not kept: the step at hand, or all since the last checkpoint. Whether state is kept."""
        arrangement = self._arrangement
        if to_checkpoint:
            lost = self._spent["training"] - self._stored.trained
            self._batches, self._since, self._storing = self._stored.batches, 0.0, None
        elif arrangement is not None:
            part = (self._batches - self._started) % arrangement.batch
            lost = part / arrangement.batch * self._arranged.seconds(arrangement)
            self._batches -= part
        self._spent["training"] -= lost
        self._spent["lost_work"] += lost
        return not to_checkpoint

    def _wait(self) -> Arrangement | None:
        """Until enough nodes are repaired; None if a failure or the end came before."""
        while not self._over and self._next.at > self._now:
            seconds = self._nodes.next_repair - self._now
            if not self._spend("waiting", seconds):
                return None
            self._nodes.repair()
            found = self._elastic.arrange(self._nodes.alive(), self._arranged.layers)
            if found is not None:
                return found
        return None

    def _restart(self, found: Arrangement) -> bool:
        if not self._spend("reschedule", self._restarting.reschedule):
            return False
        if not self._spend("loading", self._restarting.load):
            return False
        self._restarts += 1
        self._arrangement, self._started = found, self._batches
        return True

    def _change(self, found: Arrangement, *, joined: bool) -> bool:
        pause = self._arranged.change_seconds(self._arrangement, found, joined)
        if not self._spend("rearranging", pause):
            return False
        self._changes += 1
        self._arrangement, self._started = found, self._batches
        return True

    def _welcome(self) -> None:
        """A repaired node comes back while training goes on: it takes an empty place, or stands by."""
        if not self._nodes.repair():
            return
        found = self._elastic.arrange(self._nodes.alive(), self._arranged.layers)
        if found is not None and found != self._arrangement:
            self._change(found, joined=True)
