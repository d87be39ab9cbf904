"""Fields of a scenario as flags of a command line, by a table that an engine gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from simulator.deployment.fields import value_of
from simulator.deployment.pools import Pool


@dataclass(frozen=True, slots=True)
class Argument:
    """A flag as it is written: its name, its values (none: a switch), and the fields of a scenario that it states.

    Fields that it states only `nearly`, as a rounded number, do not count as stated, whatever other flags say.
    """

    name: str
    values: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    nearly: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flag:
    """One field and the flag that states it: `on` where it is true and `off` where it is false, if `kind` is bool.

    `values` are the engine's words for the field's; a value that is not among them cannot be said. Without `always`
    the flag is left out where the field has its `usual` value.
    """

    field: str
    on: str
    kind: type[int] | type[float] | type[str] | type[bool] = int
    off: str = ""
    values: Mapping[Any, str] | None = None
    always: bool = True
    usual: Any = None


def stated(table: Iterable[Flag], pool: Pool) -> list[Argument]:
    """The flags of a table for a pool, in its order."""
    found = (_stated(flag, pool) for flag in table)
    return [argument for argument in found if argument is not None]


def _stated(flag: Flag, pool: Pool) -> Argument | None:
    value, fields = value_of(pool.scenario, flag.field), (pool.origin(flag.field),)
    if value is None or (not flag.always and value == flag.usual):
        return None
    if flag.kind is bool:
        name = flag.on if value else flag.off
        return Argument(name, fields=fields) if name else None
    if flag.values is not None:
        return Argument(flag.on, (flag.values[value],), fields) if value in flag.values else None
    return Argument(flag.on, (str(flag.kind(value)),), fields)


def words(arguments: Iterable[Argument]) -> list[str]:
    """Arguments as the words of a command line."""
    return [word for argument in arguments for word in (argument.name, *argument.values)]
