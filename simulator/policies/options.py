"""Options of policies: whether values are of the kinds that the policy's class says it takes."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from simulator.errors import InputError

WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    NoneType: "null",
}


def check_options(policy: str, found: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raise `InputError` naming the first option of `policy` that is not of the kind that `found` says.

    Classes and functions that do not say are asked themselves.
    """
    try:
        hints = get_type_hints(found.__init__ if inspect.isclass(found) else found)
    except (NameError, TypeError):
        return
    for option, value in options.items():
        if option in hints and not _is(hints[option], value):
            raise InputError(f"{policy}: option {option} is {_in_words(hints[option])}, not {value!r}")


def _is(hint: Any, value: object) -> bool:
    """Whether a value is of a type; true of types that cannot be checked."""
    from pydantic import PydanticUserError, TypeAdapter, ValidationError

    try:
        adapter, given = TypeAdapter(hint), json.dumps(value)
    except (TypeError, ValueError, PydanticUserError):
        return True
    try:
        # as JSON, so that a list is a tuple where one is wanted, but no text is a number
        adapter.validate_json(given, strict=True)
    except ValidationError:
        return False
    return True


def _in_words(hint: Any) -> str:
    """A type as one would say it."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(_in_words(each) for each in inside)
    if origin is Literal:
        return f"one of {', '.join(map(str, inside))}"
    if origin is dict:
        return f"a mapping of {_in_words(inside[1])} by {_in_words(inside[0])}"
    if origin is not None and inside:
        return f"a list (each: {_in_words(inside[0])})"
    return WORDS.get(hint) or str(getattr(hint, "__name__", hint))
