"""What one field of a scenario is: its meaning, unit, type, range and default, from the model that declares it."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from reference.markdown import code, written

# Names that mean the same wherever they stand.
COMMON = {
    "kind": "What the file, or this part of it, describes.",
    "name": "What tables and reports call it.",
    "policy": "The policy by name, or `module:Class` of your own; see [policies](../policies.md).",
    "options": "Options of it by name; a policy's are listed [with the policy](../policies.md).",
    "seed": "Seed of everything random here.",
    "device": "The device by name, or the path of a device file; see [devices](../devices.md).",
    "node": "The node that devices sit in, whose links they use; the device's usual one if not given.",
    "calibration": "A calibration file of your own for the device, in place of the one shipped.",
    "price_per_device_hour": "US dollars a device-hour; the device file's price if not given.",
}

UNITS = (
    ("_gb_per_s", "GB/s"),
    ("_gb_s", "GB/s"),
    ("gb_per_s", "GB/s"),
    ("_mbit_per_s", "Mbit/s"),
    ("_mbit_s", "Mbit/s"),
    ("gflop_per_s", "GFLOP/s"),
    ("_gflop", "GFLOP"),
    ("_per_kwh", "USD/kWh"),
    ("_per_hour", "USD/h"),
    ("_device_hour", "USD/h"),
    ("_ms", "ms"),
    ("_us", "µs"),
    ("_s", "s"),
    ("_tb", "TB"),
    ("_gb", "GB"),
    ("_mb", "MB"),
    ("_kb", "kB"),
    ("_bytes", "bytes"),
    ("_tokens", "tokens"),
    ("_w", "W"),
)


@dataclass(frozen=True, slots=True)
class Described:
    """One field as a file has it; all texts are Markdown."""

    name: str
    type: str
    default: str
    unit: str
    meaning: str


def described(part: type[BaseModel], name: str) -> Described:
    """A field of a model. The meaning is empty where nothing that the package says of it was found."""
    field = part.model_fields[name]
    shown = field.alias or name
    schema = _schema(part)["properties"][shown]
    unit = next((unit for ending, unit in UNITS if f"_{name}".endswith(ending)), "")
    return Described(
        shown, kind_of_value(schema), _default(field.default, field.default_factory), unit, _meaning(part, name)
    )


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """Models that a field may hold, those inside lists, mappings and choices included."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def kind_of_value(schema: dict[str, Any]) -> str:
    """A type and its range in words, from a JSON schema."""
    forms = schema.get("anyOf") or schema.get("oneOf")
    if forms:
        return " or ".join(dict.fromkeys(kind_of_value(form) for form in forms if form.get("type") != "null"))
    choices = [schema["const"]] if "const" in schema else schema.get("enum")
    if choices:
        return ", ".join(map(code, choices))
    return "fields" if "$ref" in schema else _plain_kind(schema)


def _plain_kind(schema: dict[str, Any]) -> str:
    kind = str(schema.get("type", "any value"))
    if kind == "array":
        inner: dict[str, Any] = schema.get("items") or next(iter(schema.get("prefixItems", [])), {})
        return f"list of {kind_of_value(inner)}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"mapping of {kind_of_value(values)}" if isinstance(values, dict) and values else "mapping"
    return {"string": "text", "boolean": "true or false"}.get(kind, kind) + _range(schema)


def _range(schema: dict[str, Any]) -> str:
    bounds = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
    found = [f"{sign} {_number(schema[key])}" for key, sign in bounds if key in schema]
    return f" {', '.join(found)}" if found else ""


def _number(value: float) -> str:
    if value == 2**63 - 1 or value == 2**32 - 1:
        return "2^63 - 1" if value == 2**63 - 1 else "2^32 - 1"
    return f"{value:,}" if abs(value) < 1e9 else f"{value:.4g}".replace("e+0", "e")


def _default(value: object, factory: object) -> str:
    if value is PydanticUndefined:
        return "" if factory is not None else "**required**"
    if value is None or value == "" or isinstance(value, BaseModel) or value in ((), [], {}):
        return ""
    return written(value)


def _meaning(part: type[BaseModel], name: str) -> str:
    field = part.model_fields[name]
    said = field.description or _written_below(part, name) or _sentences_naming(part, name) or COMMON.get(name, "")
    if said:
        return said
    inner = next(models_in(field.annotation), None)
    return _sentences(inspect.getdoc(inner) or "")[0] if inner is not None and inner.__doc__ else ""


@cache
def _schema(part: type[BaseModel]) -> dict[str, Any]:
    return part.model_json_schema()


def _written_below(part: type[BaseModel], name: str) -> str:
    """The string that stands below a field in the source of the class that declares it."""
    return _docstrings(_declaring(part, name)).get(name, "")


@cache
def _docstrings(owner: type) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            value = below.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[field.target.id] = " ".join(value.value.split())
    return found


def _sentences_naming(part: type[BaseModel], name: str) -> str:
    """The sentences of the class's docstring that name the field."""
    said = _sentences(inspect.getdoc(_declaring(part, name)) or "")
    shown = part.model_fields[name].alias or name
    return " ".join(sentence for sentence in said if f"`{shown}`" in sentence)


def _declaring(part: type[BaseModel], name: str) -> type:
    """The class, this one or one that it extends, whose body has the field."""
    return next(owner for owner in part.__mro__ if name in inspect.get_annotations(owner))


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?])\s+(?=[A-Z`\"])", " ".join(text.split()))
