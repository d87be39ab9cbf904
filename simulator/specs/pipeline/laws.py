"""Random quantities as fields: a number, or a law with its mean."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, Tag, model_validator

from simulator.specs.part import Count, NotNegative, Part

# Fields of each law.
TAKES = {
    "exponential": ("mean",),
    "lognormal": ("mean", "variation"),
    "gamma": ("mean", "variation"),
    "uniform": ("low", "high"),
    "empirical": ("values", "weights"),
    "counted": ("period",),
}


class LawSpec(Part):
    """exponential (mean), lognormal and gamma (mean; variation: deviation over mean), uniform (low to high), empirical.

    Empirical values have `weights` in any unit, all the same where none are given. counted is no chance: 0, 1, 2, ...
    and again from 0 after `period` of them.
    """

    law: Literal["exponential", "lognormal", "gamma", "uniform", "empirical", "counted"]
    """The law of the quantity."""
    mean: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Mean of exponential, lognormal and gamma."""
    variation: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Deviation over mean of lognormal and gamma."""
    low: float = 0.0
    """Least value of uniform."""
    high: float = 1.0
    """Largest value of uniform."""
    values: list[float] = Field(default_factory=list)
    """Values of empirical."""
    weights: list[NotNegative] = Field(default_factory=list)
    period: Count = 1

    @model_validator(mode="after")
    def _of_its_law(self) -> LawSpec:
        own = TAKES[self.law]
        for name in sorted(self.model_fields_set - {"law", *own}):
            raise ValueError(f"{name} changes nothing where law is {self.law}, which takes {', '.join(own)}")
        if "mean" in own and "mean" not in self.model_fields_set:
            raise ValueError(f"law {self.law} needs a mean: add it")
        if self.high < self.low:
            raise ValueError(f"high {self.high:g} is below low {self.low:g}")
        if self.law == "empirical" and not self.values:
            raise ValueError("law empirical needs values: add them")
        if self.weights and (len(self.weights) != len(self.values) or sum(self.weights) <= 0):
            raise ValueError("give one weight for each of the values, not all 0")
        return self


def form_of(value: object) -> str:
    """Which form a field is given in, so that an error is about that form alone."""
    if isinstance(value, str):
        return "text"
    return "fields" if isinstance(value, dict | BaseModel) else "list" if isinstance(value, list) else "number"


Number = Annotated[NotNegative, Tag("number")]
Text = Annotated[str, Tag("text")]
FORM = Discriminator(form_of)
Quantity = Annotated[Number | Annotated[LawSpec, Tag("fields")], FORM]
# A number, or the name of an attribute of the item.
Amount = Annotated[Number | Text, FORM]
Options = dict[str, Any]


class PolicySpec(Part):
    """A policy by name or `module:Class`, and its options."""

    policy: str
    options: Options = Field(default_factory=dict)


# A stage, "done", several of them side by side, or a policy.
Next = Annotated[Text | Annotated[list[str], Tag("list")] | Annotated[PolicySpec, Tag("fields")], FORM]


def never_negative(spec: Quantity, what: str) -> None:
    """Raise `ValueError` for a law of times or sizes that can be below 0."""
    if isinstance(spec, LawSpec) and (min([spec.low, *spec.values]) < 0):
        raise ValueError(f"{what} can be negative: give values from 0 on")
