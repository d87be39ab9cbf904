"""Plain data to a validated model, or one line of complaint in the words of the user's file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from simulator.errors import InputError, unknown_name
from simulator.yaml_io import line_of

Model = TypeVar("Model", bound=BaseModel)


def validated(
    kind: type[Model], values: object, what: str, *, file: str | Path | None = None, text: str | None = None
) -> Model:
    """Plain data as a model of this kind; errors as for `scenario_from`."""
    if not isinstance(values, dict):
        raise InputError(f"{what} is a mapping of fields, not {type(values).__name__}", file=file)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problem, keys = _first(error, values)
        line = line_of(text, keys) if text is not None else None
        raise InputError(_complaint(problem, keys, kind), file=file, line=line) from None
    except InputError as error:
        raise InputError(error.message, file=file) from None


def _first(error: ValidationError, values: object) -> tuple[Any, list[str | int]]:
    """The first problem and its keys; of one in a choice of a union that of the choice which fits the furthest."""
    found = [(problem, _in_data(values, problem)) for problem in error.errors(include_url=False)]
    outermost = found[0][1]
    return max((each for each in found if each[1][: len(outermost)] == outermost), key=lambda each: len(each[1]))


def _in_data(values: object, problem: Any) -> list[str | int]:
    """The way to what is wrong as it stands in the data, without the names that tell forms of a field apart."""
    found: list[str | int] = []
    at: Any = values
    for place, key in enumerate(problem["loc"]):
        inside = (isinstance(at, dict) and key in at) or (isinstance(at, list) and isinstance(key, int))
        if inside:
            at = at[key]
        elif problem["type"] != "missing" or place + 1 < len(problem["loc"]):
            continue
        found.append(key)
    return found


def _complaint(problem: Any, keys: list[str | int], whole: type[BaseModel]) -> str:
    """One line for one of pydantic's errors, in the words of the user's file."""
    name = ".".join(str(k) for k in keys) or "scenario"
    kind, value, context = problem["type"], problem.get("input"), problem.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown_name("field", name, _names_inside(keys, whole)).message
    if kind == "missing":
        return f"{name} is missing: add it, as in the scenarios that `simulator list scenarios` shows"
    if kind == "value_error":
        error = context.get("error")
        return f"{name}: {error.message if isinstance(error, InputError) else error}"
    message = str(problem["msg"]).removeprefix("Input ").removeprefix("Value error, ")
    message = re.sub(r"valid dictionary or instance of \w+", "mapping of fields", message)
    message = message.removeprefix("List ").replace(" after validation", "")
    return (
        f"{name} is {_shown(value)}, which {message}"
        if message.startswith(("should", "must"))
        else f"{name}: {message}"
    )


def _names_inside(keys: Sequence[str | int], whole: type[BaseModel]) -> list[str]:
    """Names of the fields beside the one that `keys` lead to, as the user writes them."""
    part = whole
    for key in keys[:-1]:
        if isinstance(key, str) and key in part.model_fields:
            part = next(_models_in(part.model_fields[key].annotation), part)
    lead = "".join(f"{key}." for key in keys[:-1])
    return sorted(lead + name for name in part.model_fields)


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
