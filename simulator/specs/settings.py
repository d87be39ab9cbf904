"""Single settings by dotted name, laid over a scenario's plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from simulator.errors import InputError, unknown_name
from simulator.yaml_io import loads_yaml


def lay_over(values: dict[str, Any], overrides: Sequence[str] | Mapping[str, Any], whole: type[BaseModel]) -> None:
    """Lay settings over plain values of a `whole` in place: `key=value` texts (values in YAML), or key to value.

    A key is a dotted path, or the last part of one if that is unique among the shortest, parts that are usually
    left out set aside. Numbers in a path count the entries of lists from 0.
    """
    pairs = overrides.items() if isinstance(overrides, Mapping) else map(_parsed, overrides)
    for given, value in pairs:
        _put(values, list(_resolve(given.strip().replace("-", "_"), whole)), given, value)


def _put(values: dict[str, Any], path: list[str], given: str, value: object) -> None:
    """Set what `path` leads to through mappings and, by numbers from 0, through entries of lists that are there."""
    at: Any = values
    left = path
    while True:
        here: Any
        here, left = _listed_entry(at, left, given) if isinstance(at, list) else _named_entry(at, left)
        if not left:
            at[here] = value
            return
        at = at[here] if isinstance(at, list) else at.setdefault(here, {})
        if not isinstance(at, dict | list):
            raise InputError(f"setting {given}: {_instead('.'.join(path[: -len(left)]), at, left[0])}")


def _named_entry(at: dict[str, Any], left: list[str]) -> tuple[str, list[str]]:
    """The key of a mapping that the path begins with, which may hold dots and dashes, and what is left of the path."""
    known = {str(key).replace("-", "_"): key for key in at}
    ends = range(len(left), 0, -1)
    end = next((n for n in ends if ".".join(left[:n]) in known), 1)
    return known.get(".".join(left[:end]), left[0]), left[end:]


def _listed_entry(at: list[Any], left: list[str], given: str) -> tuple[int, list[str]]:
    if not left[0].isdigit() or int(left[0]) >= len(at):
        raise InputError(f"setting {given}: {left[0]} is no entry of a list that has {len(at)}, counted from 0")
    return int(left[0]), left[1:]


def _instead(whole: str, value: object, inside: str) -> str:
    """What to set where the value of a field has none of its own, as the name of a model has no layers."""
    return (
        f"this scenario gives {whole} as {value!r}, which is not a mapping and has no {inside}: give all its fields at "
        f"once, for example --set '{whole}={{{inside}: ...}}'"
    )


def full_name(key: str, whole: type[BaseModel]) -> str:
    """The dotted name of a field that may be given by its last part. Raises `InputError` if there is none."""
    return ".".join(_resolve(key.strip().replace("-", "_"), whole))


def _parsed(pair: str) -> tuple[str, object]:
    key, equals, raw = pair.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set {pair!r} is not key=value, for example --set max_num_seqs=128")
    return key, loads_yaml(raw, file=f"--set {key}")


@lru_cache(maxsize=1024)
def _resolve(key: str, whole: type[BaseModel]) -> tuple[str, ...]:
    fields = _fields(whole)
    paths = list(fields)
    if (
        key in paths
        or any(p.startswith(f"{key}.") for p in paths)
        or any(key.startswith(f"{p}.") for p, kind in fields.items() if p.endswith(("pools", "groups")) or _open(kind))
        or any(key.startswith(f"{p}.") and key[len(p) + 1].isdigit() for p, kind in fields.items() if _listed(kind))
    ):
        return tuple(key.split("."))
    ends = [p for p in paths if p.rsplit(".", 1)[-1] == key]
    ends = [p for p in ends if whole.model_fields[p.split(".")[0]].default is not None] or ends
    least = min((p.count(".") for p in ends), default=0)
    ends = [p for p in ends if p.count(".") == least]
    if len(ends) == 1:
        return tuple(ends[0].split("."))
    if ends:
        raise InputError(f"setting {key} could be {' or '.join(ends)}: give the whole name")
    raise unknown_name("setting", key, paths)


def field_paths(part: type[BaseModel], prefix: str = "") -> list[str]:
    """Dotted names of all fields of a part."""
    return list(_fields(part, prefix))


def _fields(part: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """What each field of a part may be, by dotted name."""
    found: dict[str, Any] = {}
    for name, field in part.model_fields.items():
        listed = get_origin(field.annotation) is list
        kind = next((a for a in get_args(field.annotation) if a is not type(None)), field.annotation)
        if not listed and isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= _fields(kind, f"{prefix}{name}.")
        else:
            found[prefix + name] = field.annotation
    return found


def _listed(kind: Any) -> bool:
    """Whether a field takes a list, whose entries are told apart by their numbers."""
    choices = [get_args(each)[0] if get_origin(each) is Annotated else each for each in (kind, *get_args(kind))]
    return any(get_origin(each) is list for each in choices)


def _open(kind: Any) -> bool:
    """Whether a field takes a mapping whose names only its reader knows, or one of several parts."""
    if get_origin(kind) is list:
        return False
    choices = [get_args(each)[0] if get_origin(each) is Annotated else each for each in (kind, *get_args(kind))]
    return any(get_origin(each) is dict or (isinstance(each, type) and issubclass(each, BaseModel)) for each in choices)
