"""The layouts that a search may choose from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from simulator.errors import InputError, refuse_beside
from simulator.hardware.device import device
from simulator.hardware.node import node
from simulator.specs.settings import full_name, lay_over
from simulator.specs.training import TrainingScenario
from simulator.specs.training_plan import TrainingPlan
from simulator.specs.training_stages import StagesSpec
from simulator.specs.validating import validated
from simulator.training import model_of

DATA = "layout.data"
PIPELINE = "layout.pipeline"
STAGES = "stages"
COUNTS = ("layout.tensor", "layout.pipeline", "layout.context", "layout.chunks", "batch.micro")
NOT_SEARCHED = ("batch.lengths", "offload", "run", "largest", "stragglers", "sites")
MOST_COMBINATIONS = 500_000
MICRO_BATCHES = (1, 2, 4, 8, 16)
CHUNKS = (1, 2, 3, 4, 6, 8)


@dataclass(frozen=True)
class Candidate:
    """One choice of the searched fields, and the scenario that it makes."""

    choice: dict[str, Any]
    scenario: TrainingScenario


@dataclass(frozen=True)
class Space:
    """All combinations of the searched fields' values; data parallelism takes the devices that are left."""

    plan: TrainingPlan

    @cached_property
    def base(self) -> TrainingScenario:
        """The scenario before anything is chosen. Raises `InputError` for what cannot be searched."""
        values = {"kind": "training", **deepcopy(self.plan.scenario)}
        lay_over(values, self.plan.believed, TrainingScenario)
        scenario = validated(TrainingScenario, values, "scenario")
        refuse_beside("a search of layouts", {
            "batch.lengths": scenario.batch.lengths is not None, "offload": scenario.offload is not None,
            "run": scenario.run is not None, "largest": scenario.largest is not None,
            "stragglers": scenario.stragglers is not None, "sites": scenario.sites is not None,
        })  # fmt: skip
        return scenario

    @cached_property
    def axes(self) -> dict[str, list[Any]]:
        """Values of each searched field: the usual ones, and in their place those of the plan."""
        found = self._usual()
        for key, values in self.plan.search.items():
            name = full_name(key, TrainingScenario)
            if name == DATA:
                raise InputError("search: layout.data takes the devices that are left, leave it out")
            refuse_beside("a search of layouts", {name: name.startswith(NOT_SEARCHED)})
            refuse_beside("stages", {name: name == PIPELINE and self.lists_stages})
            _check_whole(name, values)
            found[name] = values
        combinations = 1
        for values in found.values():
            combinations *= len(values)
        if combinations > MOST_COMBINATIONS:
            raise InputError(
                f"search: {combinations:,} combinations are more than {MOST_COMBINATIONS:,}: give fewer values, for "
                "example layout.tensor: [8]"
            )
        return found

    def _usual(self) -> dict[str, list[Any]]:
        scenario, devices = self.base, self.plan.devices
        usual = scenario.node or device(scenario.device).node
        inside = node(usual).devices_per_node if usual else 1
        layers = self.layers
        return {
            "layout.tensor": [t for t in _divisors(inside) if devices % t == 0],
            **({} if self.lists_stages else {PIPELINE: [p for p in _divisors(devices) if p <= layers]}),
            "layout.chunks": [c for c in CHUNKS if c <= layers],
            "batch.micro": [m for m in MICRO_BATCHES if scenario.batch.global_size % m == 0],
            "layout.sequence_parallel": [False, True],
            "recompute": ["none", "selective", "full"],
            "layout.zero": [0, 1],
        }

    def candidates(self, left_out: Counter[str]) -> Iterator[Candidate]:
        """Every combination that can be laid out; those that cannot are counted by reason in `left_out`."""
        for values in product(*self.axes.values()):
            choice = dict(zip(self.axes, values, strict=True))
            reason = self._refused(choice)
            if reason is None:
                yield Candidate(choice, self.scenario(choice))
            else:
                left_out[reason] += 1

    def scenario(self, choice: dict[str, Any]) -> TrainingScenario:
        """The scenario of a choice."""
        values = self.base.model_dump(exclude_unset=True)
        stages = self._stages(choice)
        given = {} if stages is None else {PIPELINE: len(stages.each)}
        lay_over(values, choice | given | {DATA: self._data(choice)}, TrainingScenario)
        return validated(TrainingScenario, values, "scenario")

    def _data(self, choice: dict[str, Any]) -> int:
        taken = sum(self._widths(choice)) * self._degree(choice, "context")
        return 0 if self.plan.devices % taken else self.plan.devices // taken

    def _widths(self, choice: dict[str, Any]) -> list[int]:
        """Tensor-parallel devices of each stage."""
        stages, tensor = self._stages(choice), self._degree(choice, "tensor")
        if stages is None:
            return [tensor] * self._degree(choice, "pipeline")
        return [stage.tensor or tensor for stage in stages.each]

    def _degree(self, choice: dict[str, Any], name: str) -> int:
        return int(choice.get(f"layout.{name}", getattr(self.base.layout, name)))

    @cached_property
    def lists_stages(self) -> bool:
        """Whether the stages are listed, so that their number is not searched."""
        searched = any(full_name(key, TrainingScenario) == STAGES for key in self.plan.search)
        return searched or self.base.stages is not None

    def _stages(self, choice: dict[str, Any]) -> StagesSpec | None:
        """The listed stages of a choice, if any."""
        given = choice.get(STAGES, self.base.stages)
        return given if given is None or isinstance(given, StagesSpec) else validated(StagesSpec, given, STAGES)

    def _refused(self, choice: dict[str, Any]) -> str | None:
        """Why a combination is none, told from its numbers alone."""
        layout = self.base.layout.model_dump() | {
            name.partition(".")[2]: value for name, value in choice.items() if name.startswith("layout.")
        }
        data, micro = self._data(choice), choice.get("batch.micro", self.base.batch.micro)
        batch, together = self.base.batch.global_size, max(1, data * micro)
        widths, chunks = self._widths(choice), layout["chunks"]
        pieces = len(widths) * chunks
        reasons = {
            "degrees of parallelism do not divide the devices": data == 0,
            "micro-batch x data does not divide the global batch": batch % together > 0,
            "sequence parallelism has one device to split over": layout["sequence_parallel"] and max(widths) == 1,
            "ZeRO has one replica to shard over": layout["zero"] > 0 and data * layout["context"] == 1,
            "stages x chunks does not divide the layers": pieces > self.layers
            or (not self.lists_stages and chunks > 1 and self.layers % pieces > 0),
            "several chunks need several stages": 1 < chunks == pieces,
        }
        return next((reason for reason, holds in reasons.items() if holds), None)

    @cached_property
    def layers(self) -> int:
        return len(model_of(self.base).layers)


def _check_whole(name: str, values: list[Any]) -> None:
    """Raise `InputError` for a degree of parallelism or a micro-batch that is no number of devices or sequences."""
    wrong = [v for v in values if not isinstance(v, int) or isinstance(v, bool) or v < 1]
    if wrong and name in COUNTS:
        raise InputError(f"search: {name} lists {wrong[0]!r}: give whole numbers of at least 1")


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]
