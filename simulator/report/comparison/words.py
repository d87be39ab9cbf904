"""Names, fields and their values as the words of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence


def listed(parts: Iterable[str]) -> str:
    """Parts of a sentence with commas and an and."""
    *head, last = parts
    return f"{', '.join(head)} and {last}" if head else last


def against(labels: Sequence[str]) -> str:
    """The title of a comparison: all others against the first."""
    first, *others = labels
    return f"{listed(others)} against {first}"


def field_text(value: object) -> str:
    """The value of a scenario's field: of a part those of its fields that say something, by dotted name."""
    if isinstance(value, Mapping):
        return f"({', '.join(_leaves(value)) or 'as usual'})"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unset" if value is None else str(value)


def _leaves(part: Mapping[str, object]) -> Iterator[str]:
    for name, value in part.items():
        if isinstance(value, Mapping):
            yield from (f"{name}.{inner}" for inner in _leaves(value))
        elif value not in (None, False, 1, []):
            yield f"{name} {field_text(value)}"
