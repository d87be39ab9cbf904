"""A sweep as one validated object: a scenario, the fields that vary, and how their values are combined."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from simulator.specs.part import Part
from simulator.specs.validating import validated
from simulator.yaml_io import loads_yaml, read_text

MOST_POINTS = 100_000  # each is held as a validated scenario of some 10 KB

Values = Annotated[list[Any], Field(min_length=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Range(Part):
    """Numbers from `from` to `to`, both included, spaced evenly or, with `log`, by an even factor.

    `steps` is how many of them a grid takes; random and Latin hypercube sampling draw anywhere between the two.
    """

    least: Annotated[Number, Field(alias="from")]
    most: Annotated[Number, Field(alias="to")]
    steps: Annotated[int, Field(ge=2, le=MOST_POINTS)] | None = None
    log: bool = False
    integer: bool = False
    """Whether only whole numbers are taken."""

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.least >= self.most:
            raise ValueError(f"from {self.least:g} is not below to {self.most:g}: exchange them")
        if self.log and self.least <= 0:
            raise ValueError(f"log needs from above 0, and it is {self.least:g}")
        if self.integer and not (self.least.is_integer() and self.most.is_integer()):
            raise ValueError("integer needs whole numbers in from and to")
        return self


# Lists and ranges are told apart by their form, so that a complaint is about the one that is meant.
Varied = Annotated[
    Annotated[Values, Tag("values")] | Annotated[Range, Tag("range")],
    Discriminator(lambda given: "range" if isinstance(given, dict | Range) else "values"),
]


class Sampling(Part):
    """`grid`: every combination; `random` and `latin-hypercube`: `points` of them, drawn with `seed`."""

    method: Literal["grid", "random", "latin-hypercube"] = "grid"
    """How points are chosen."""
    points: Annotated[int, Field(ge=1, le=MOST_POINTS)] | None = None
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0

    @model_validator(mode="after")
    def _counted(self) -> Sampling:
        if self.method == "grid" and self.points is not None:
            raise ValueError("points is for method random or latin-hypercube: a grid has every combination")
        if self.method != "grid" and self.points is None:
            raise ValueError(f"points is missing: say how many points {self.method} draws")
        return self


class SweepSpec(Part):
    """Points of one scenario.

    `scenario` is a path, the name of a shipped scenario, or a scenario's fields. `fixed` sets fields of all points,
    `vary` maps a field to its values or to a range of numbers, and each mapping of `together` has lists of equal
    length whose values change hand in hand. Fields are named as for `--set`. `keep` are patterns of figures such as
    "latency_ms.*" (all, if empty); `minimise` or `maximise` names the figure by which points are ranked.
    """

    kind: Literal["sweep"] = "sweep"
    name: str = ""
    scenario: str | dict[str, Any]
    fixed: dict[str, Any] = Field(default_factory=dict)
    vary: dict[str, Varied] = Field(default_factory=dict)
    together: list[Annotated[dict[str, Values], Field(min_length=1)]] = Field(default_factory=list)
    sampling: Sampling = Sampling()
    keep: list[str] = Field(default_factory=list)
    minimise: str | None = None
    maximise: str | None = None

    @model_validator(mode="after")
    def _varies(self) -> SweepSpec:
        if not self.vary and not self.together:
            raise ValueError("nothing varies: give vary, for example {replicas: [1, 2, 4]}")
        for group in self.together:
            lengths = {name: len(values) for name, values in group.items()}
            if len(set(lengths.values())) > 1:
                shown = ", ".join(f"{name} has {count}" for name, count in lengths.items())
                raise ValueError(f"together: lists of equal length are needed, and {shown}")
        names = [*self.vary, *(name for group in self.together for name in group)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice} is given twice: leave one of the two out")
        if self.minimise is not None and self.maximise is not None:
            raise ValueError("give minimise or maximise, not both")
        return self

    @model_validator(mode="after")
    def _grid_steps(self) -> SweepSpec:
        for name, values in self.vary.items():
            if self.sampling.method == "grid" and isinstance(values, Range) and values.steps is None:
                raise ValueError(f"vary.{name}: a range in a grid needs steps, the number of its values")
        return self

    @property
    def ranked_by(self) -> str | None:
        """The figure by which points are ranked."""
        return self.minimise or self.maximise


def sweep_from(values: object, *, file: str | Path | None = None, text: str | None = None) -> SweepSpec:
    """Validate plain data. Raises `InputError` naming the first wrong field, its value and what is allowed."""
    return validated(SweepSpec, values, "a sweep", file=file, text=text)


def read_sweep(spec: str | Path | Mapping[str, Any] | SweepSpec) -> tuple[SweepSpec, Path]:
    """A sweep and the folder that its relative paths start from: that of its file, else the working directory."""
    if isinstance(spec, SweepSpec):
        return spec, Path.cwd()
    if isinstance(spec, Mapping):
        return sweep_from(dict(spec)), Path.cwd()
    text = read_text(spec)
    return sweep_from(loads_yaml(text, file=spec), file=spec, text=text), Path(spec).resolve().parent
