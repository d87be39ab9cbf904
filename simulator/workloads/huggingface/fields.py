"""A model config read field by field: every complaint names the field, its value and what was expected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simulator.errors import InputError

Json = dict[str, Any]
MOST = 10**9
LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one config. A null counts as absent, as it does in the library that wrote the file.

    Methods take a field's name and the names that older configs use for it; the first that is there counts.
    `prefix` is the path of a nested object inside the file ("text_config.").
    """

    values: Json
    file: str | None = None
    prefix: str = ""

    def has(self, *names: str) -> bool:
        return self._first(names) is not None

    def whole(self, *names: str, default: int | None = None, least: int = 1, most: int = MOST) -> int:
        """A whole number from `least` to `most`; `default` None makes the field required."""
        name = self._first(names)
        if name is None:
            if default is None:
                raise self.missing(names, "a whole number")
            return default
        value = self.values[name]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.wrong(name, f"a whole number from {least:,} to {most:,}")
        return value

    def optional(self, *names: str, least: int = 1) -> int | None:
        """A whole number, or None where the field is absent."""
        return self.whole(*names, least=least) if self.has(*names) else None

    def flag(self, *names: str, default: bool = False) -> bool:
        name = self._first(names)
        if name is None:
            return default
        value = self.values[name]
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def word(self, *names: str) -> str | None:
        """A string, or None where the field is absent."""
        name = self._first(names)
        if name is None:
            return None
        value = self.values[name]
        if not isinstance(value, str):
            raise self.wrong(name, "a word in quotes")
        return value

    def words(self, name: str, length: int, known: Iterable[str]) -> list[str] | None:
        """A list of `length` words that are all `known`, or None where the field is absent."""
        value = self.values.get(name)
        if value is None:
            return None
        choices = tuple(known)
        good = isinstance(value, list) and len(value) == length
        if not good or not all(isinstance(v, str) and v in choices for v in value):
            raise self.wrong(name, f"a list of {length} of {', '.join(choices)}")
        return list(value)

    def wholes(self, name: str) -> list[int] | None:
        """A list of whole numbers from 0, or None where the field is absent."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(type(v) is int and 0 <= v <= MOST for v in value):
            raise self.wrong(name, "a list of whole numbers")
        return list(value)

    def inner(self, name: str) -> Fields | None:
        """A nested object, or None where the field is absent."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(name, "an object")
        return Fields(value, self.file, f"{self.prefix}{name}.")

    def missing(self, names: Iterable[str], expected: str) -> InputError:
        first, *others = (f"{self.prefix}{name}" for name in names)
        also = f" (or {', '.join(map(repr, others))})" if others else ""
        return InputError(f"the config lacks {first!r}{also}, {expected}", file=self.file)

    def wrong(self, name: str, expected: str) -> InputError:
        """A complaint about the value of one field."""
        value = shown(self.values.get(name))
        return InputError(f"config field {self.prefix + name!r} is {value}: expected {expected}", file=self.file)

    def _first(self, names: Iterable[str]) -> str | None:
        return next((name for name in names if self.values.get(name) is not None), None)


def shown(value: object) -> str:
    """A short form of any JSON value; safe for numbers and nestings too large to print."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)} fields"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**LONGEST_SHOWN:
        return f"a number of {value.bit_length():,} bits"
    text = repr(value[: LONGEST_SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."
