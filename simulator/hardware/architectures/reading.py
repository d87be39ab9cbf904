"""Read the parameters of an architecture from a device file into its dataclass."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from simulator.yaml_io import Fields


def parameters(cls: type[Any], given: Fields, tags: tuple[str, ...] = ("kind",)) -> Any:
    """An instance of a dataclass whose fields are floats (at least 0), texts, flags or numbers by name.

    A text field with choices is a `Literal`; a field may be such a dataclass itself. The mapping has `tags` beside.
    Raises `InputError` naming the field that is missing or wrong.
    """
    hints = get_type_hints(cls)
    own = {f.name: f for f in fields(cls) if f.init}
    needed = [n for n, f in own.items() if f.default is MISSING and f.default_factory is MISSING]
    given.only([*tags, *needed], [n for n in own if n not in needed])
    return cls(**{name: _value(hints[name], given, name) for name in own if name in given})


def _value(hint: Any, given: Fields, name: str) -> Any:
    if hint is float:
        return given.number(name, above=False)
    if hint is bool:
        return given.flag(name, False)
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return parameters(hint, given.fields(name), ())
    if hint is str:
        return given.text(name)
    if get_origin(hint) is dict:
        inner = given.fields(name)
        return inner.numbers(inner.names())
    return given.text(name, choices=[str(choice) for choice in get_args(hint)])
