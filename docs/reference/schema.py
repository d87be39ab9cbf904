"""Pages of the fields of every kind of scenario, from the models that read them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from reference.fields import described, models_in
from reference.markdown import code, paragraphs, slug, table
from simulator.cascade.spec import Cascade
from simulator.kinds import GRAPHS, TRAINING
from simulator.planning.spec import PlanSpec
from simulator.scenario import Scenario
from simulator.sweeping.spec import SweepSpec


@dataclass(frozen=True, slots=True)
class Root:
    """A kind of file: its fields, and the commands that take it."""

    fields: type[BaseModel]
    commands: str


ROOTS = {
    "serving": Root(Scenario, "`simulator run`, `compare`, and field by field `simulator replay`"),
    "cascade": Root(Cascade, "`simulator run` and `compare`"),
    "planning": Root(PlanSpec, "`simulator plan`"),
    "sweep": Root(SweepSpec, "`simulator sweep`"),
    **{name: Root(kind.fields, "`simulator run`, `train` and `compare`") for name, kind in TRAINING.items()},
    **{name: Root(kind.fields, "`simulator run`") for name, kind in GRAPHS.items()},
}
TITLES = {"training-plan": "Training plan", "network-search": "Network search"}


def title(kind: str) -> str:
    """What the navigation calls a kind."""
    return TITLES.get(kind, kind.capitalize())


def page(kind: str) -> str:
    """All fields of a kind of file, a section for each group of them, named by where it stands in the file."""
    root = ROOTS[kind]
    sections = dict(_sections(root.fields, ""))
    anchors = {part: slug(path) for part, path in sections.items() if path}
    parts = [
        f"# Fields of kind {kind}\n",
        f"A YAML file with `kind: {kind}`{' (or without kind)' if kind == 'serving' else ''}, for {root.commands}. "
        "A dotted name such as `kv_cache.block_size` is `kv_cache: {block_size: ...}` in the file and "
        "`--set kv_cache.block_size=...` on the command line; `[]` stands for each entry of a list, `*` for each name "
        "of a mapping. Fields without a default and not required may be left out. Unknown fields are refused.\n",
    ]
    for part, path in sections.items():
        parts.append(f"## {path}\n" if path else "## At the top\n")
        parts.append(paragraphs(inspect.getdoc(part) or "") + "\n")
        parts.append(_fields(part, anchors))
    return "\n".join(parts)


def own_fields(part: type[BaseModel]) -> list[str]:
    """Fields to show of a model: of one that extends a kind of file, those that it adds."""
    roots = [r.fields for r in ROOTS.values() if r.fields in part.__mro__[1:]]
    return [name for name in part.model_fields if not any(name in r.model_fields for r in roots)]


def _sections(part: type[BaseModel], path: str) -> Iterator[tuple[type[BaseModel], str]]:
    """Each model inside, with the first place where it stands, those nearer to the top first."""
    waiting, seen = [(part, path)], set()
    while waiting:
        part, path = waiting.pop(0)
        if part in seen:
            continue
        seen.add(part)
        yield part, path
        for name in own_fields(part):
            annotation = part.model_fields[name].annotation
            waiting += [(inner, _inside(path, name, annotation)) for inner in models_in(annotation)]


def _inside(path: str, name: str, annotation: object) -> str:
    text = str(annotation)
    ending = ".*" if text.startswith("dict[") else "[]" if text.startswith(("list[", "tuple[")) else ""
    return f"{path}.{name}{ending}".removeprefix(".")


def _fields(part: type[BaseModel], anchors: dict[type[BaseModel], str]) -> str:
    rows = []
    for name in own_fields(part):
        field = described(part, name)
        inner = [m for m in models_in(part.model_fields[name].annotation) if m in anchors]
        links = ", ".join(f"[{code(_label(m, inner))}](#{anchors[m]})" for m in dict.fromkeys(inner))
        kind = field.type.replace("fields", links, 1) if links else field.type
        rows.append((code(field.name), kind, field.default, field.unit, paragraphs(field.meaning)))
    return table(("field", "value", "default", "unit", "meaning"), rows)


def _label(part: type[BaseModel], among: list[type[BaseModel]]) -> str:
    return "fields" if len(set(among)) == 1 else part.__name__.removesuffix("Spec").removeprefix("_")
