"""What the parts of a scenario share: a strict base and the usual ranges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Place = tuple[str | int, ...]
NO_NUMBER = PydanticCustomError("no_number", "Input should be a number, not true or false")


class Fields(BaseModel):
    """A group of fields: unknown ones are refused, values never change, true and false are no numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, protected_namespaces=())

    @model_validator(mode="wrap")
    @classmethod
    def _true_is_not_one(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Pydantic takes true for 1, which hides a mistake in a file."""
        found = handler(given)
        wrong = [InitErrorDetails(type=NO_NUMBER, loc=place, input=it) for place, it in _made_numbers(given, found)]
        if wrong:
            raise ValidationError.from_exception_data(cls.__name__, wrong)
        return found


class Part(Fields):
    """A group of fields of a scenario."""


def _made_numbers(given: object, found: object, place: Place = ()) -> Iterator[tuple[Place, bool]]:
    """Booleans of what was given that are numbers in what it became, each with the way to it."""
    if isinstance(given, bool):
        if isinstance(found, int | float) and not isinstance(found, bool):
            yield place, given
    elif isinstance(given, Mapping):
        inside = found if isinstance(found, Mapping) else vars(found) if isinstance(found, Fields) else {}
        for key, value in given.items():
            if key in inside:
                yield from _made_numbers(value, inside[key], (*place, key))
    elif isinstance(given, list | tuple) and isinstance(found, list | tuple):
        for i, (value, became) in enumerate(zip(given, found, strict=False)):
            yield from _made_numbers(value, became, (*place, i))
