"""Classes of the user's own, given as objects where a scenario has `module:Class`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from simulator.errors import InputError


def named_classes(values: Any) -> Any:
    """Plain data with every class in it replaced by its `module:Class`; those of a notebook are in `__main__`.

    Raises `InputError` for a class that its module does not have under its name.
    """
    if isinstance(values, type):
        return _name(values)
    if isinstance(values, Mapping):
        return {key: named_classes(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [named_classes(value) for value in values]
    return values


def _name(given: type[Any]) -> str:
    if getattr(sys.modules.get(given.__module__), given.__qualname__, None) is not given:
        raise InputError(
            f"class {given.__qualname__} is not at the top of its module {given.__module__} (or was defined anew): "
            "define it outside functions and classes, and give it again"
        )
    return f"{given.__module__}:{given.__qualname__}"
