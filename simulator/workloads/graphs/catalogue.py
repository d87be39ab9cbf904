"""Models that come with the package as operator graphs: a small data file a family, with what was published of each."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from simulator.errors import InputError, unknown_name
from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.graph import Graph, Model, Part
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size
from simulator.yaml_io import Fields

MODELS = Path(__file__).with_name("models")


@dataclass(frozen=True, slots=True)
class Entry:
    """A named model: its family's module, the options that make it, and its published size (None: not published).

    `macs` are multiply-adds of one forward pass of batch 1, as most papers give "FLOPs".
    """

    name: str
    family: str
    options: dict[str, Any] = field(default_factory=dict)
    parameters: float | None = None
    macs: float | None = None
    source: str = ""


def graph_model_names() -> list[str]:
    """Names of all models that come as operator graphs."""
    return sorted(_entries())


def entry(name: str) -> Entry:
    """What is known of a model by this name. Raises `InputError` for an unknown one."""
    found = _entries().get(name.strip().lower())
    if found is None:
        raise unknown_name("model", name, graph_model_names())
    return found


def graph_model(name: str, batch: Size = 1, format: DType = FP32, **options: Any) -> Model:
    """A model by name; `options` of its family go over those that the name stands for."""
    known = entry(name)
    return family_model(known.family, known.name, batch, format, **{**known.options, **options})


def family_model(family: str, name: str, batch: Size = 1, format: DType = FP32, **options: Any) -> Model:
    """A model of a family (its module's `build`) with these options. Raises `InputError` for wrong ones."""
    build = builder_of(family)
    try:
        built = build(batch, format, **options)
    except TypeError as error:
        raise InputError(f"model {name}: its options do not fit family {family}: {error}") from None
    return Model(name, (Part(built),)) if isinstance(built, Graph) else Model(name, built.parts)


def builder_of(family: str) -> Callable[..., Any]:
    """What builds a family's models. Raises `InputError` for an unknown family."""
    found: Callable[..., Any] = _module(family).build
    return found


def side_by_side(family: str) -> tuple[str, ...]:
    """Patterns of a family's options whose numbers may be arrays over candidates (`ARRAYS` of its module)."""
    found: tuple[str, ...] = getattr(_module(family), "ARRAYS", ())
    return found


def families() -> list[str]:
    """Names of the families."""
    files = Path(__file__).with_name("families").glob("*.py")
    return sorted(f.stem for f in files if f.stem != "__init__" and not f.stem.endswith("blocks"))


def _module(family: str) -> Any:
    if family not in families():
        raise unknown_name("model family", family, families())
    return importlib.import_module(f"simulator.workloads.graphs.families.{family}")


@cache
def _entries() -> dict[str, Entry]:
    return {e.name: e for file in sorted(MODELS.glob("*.yaml")) for e in _read(file)}


def _read(file: Path) -> list[Entry]:
    fields = Fields.load(file)
    fields.only(("family", "source", "models"), ())
    models = fields.fields("models")
    return [_entry(name, models.fields(name), fields) for name in models.names()]


def _entry(name: str, fields: Fields, file: Fields) -> Entry:
    fields.only((), ("options", "parameters", "macs", "source"))
    return Entry(
        name,
        file.text("family"),
        fields.fields("options").plain() if "options" in fields else {},
        fields.number("parameters") if "parameters" in fields else None,
        fields.number("macs") if "macs" in fields else None,
        fields.text("source", "") or file.text("source"),
    )
