"""Options of a family of models as a scenario gives them, and the sizes that they make."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from typing import Any, get_type_hints

import numpy as np

from simulator.errors import InputError, unknown_name
from simulator.policies.options import check_options
from simulator.workloads.graphs.catalogue import builder_of
from simulator.workloads.graphs.graph import Model
from simulator.workloads.operators import Size

GIVEN = ("batch", "format")  # by the scenario's own fields


def check_family_options(family: str, options: Mapping[str, Any], where: str) -> None:
    """Raise `InputError` for an option that the family does not have, or that is not of the kind that it takes."""
    build = builder_of(family)
    known = [name for name in inspect.signature(build).parameters if name not in GIVEN]
    for name in options:
        if name not in known:
            raise unknown_name(f"option of {where}", name, known)
    check_options(where, build, options)
    hints = get_type_hints(build)
    for name, value in options.items():
        if hints[name] == Size and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise InputError(f"{where}: option {name} is a number, not {value!r}")
        if not all(math.isfinite(number) for number in _numbers(value)):
            raise InputError(f"{where}: option {name} is {value!r}: give finite numbers")


def check_sizes(model: Model) -> None:
    """Raise `InputError` where options have left a tensor without a number in it."""
    for part in model.parts:
        for tensor in part.graph.tensors.values():
            if any(np.any(np.asarray(size) < 1) for size in tensor.shape):
                shape = " x ".join(str(size) for size in tensor.shape)
                raise InputError(f"model {model.name}: its options make {tensor.name} {shape}: give larger sizes")


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _numbers(each)
    elif isinstance(value, int | float):
        yield float(value)
