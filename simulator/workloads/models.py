"""Models by name: the config facts that come with the package, or any `config.json` by path."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from simulator.errors import InputError, unknown_name
from simulator.workloads.huggingface import transformer_from_config
from simulator.workloads.transformer import Transformer

MODELS = Path(__file__).with_name("models")
MAX_BYTES = 10_000_000

# What publishers append to the name of a checkpoint without changing its shape.
_SUFFIX = re.compile(
    r"[-_](instruct|chat|hf|it|base|fp8|fp8-dynamic|dynamic|fp4|nvfp4|mxfp4|awq|gptq|int4|int8|bf16|w8a8|w4a16|bnb|"
    r"4bit|8bit|quantized|2407|2501|v0\.[1-3]-instruct|0528|0324|2507|kv)$"
)
_FORMATS = {
    "fp8": "fp8",
    "nvfp4": "nvfp4",
    "fp4": "nvfp4",
    "awq": "int4",
    "gptq": "int4",
    "int4": "int4",
    "w4a16": "int4",
    "int8": "int8",
    "w8a8": "int8",
}


def model(name_or_path: str) -> Transformer:
    """The model of this name or alias, or the one described by a config.json (or a folder that holds one).

    Raises `InputError` for unknown names, unreadable files and unsupported architectures.
    """
    path = Path(name_or_path)
    if path.is_dir():
        path /= "config.json"
    if path.suffix == ".json" or path.is_file():
        return transformer_from_config(_read(path), name=path.parent.name or path.stem, file=str(path))
    found = _shipped(_find(name_or_path))
    stored = _format_in(name_or_path)
    return found if stored is None else replace(found, dtype=stored)


def model_names() -> list[str]:
    """The names of all models that come with the package."""
    return sorted(_index().values(), key=str.lower)


def model_facts(name: str) -> dict[str, Any]:
    """The shipped file of a model: its config, the source, and the published parameter count."""
    return _facts(_find(name))


def _find(name: str) -> str:
    index, short = _index(), _short_names()
    for candidate in _simplifications(name.strip().lower()):
        if candidate in index:
            return index[candidate]
        bare = candidate.rsplit("/", 1)[-1]
        if bare in short:
            return short[bare]
    raise unknown_name("model", name, index.values(), remedy="(or give the path of a config.json)")


def _format_in(name: str) -> str | None:
    """The number format that a quantised checkpoint's name states, such as "-FP8-dynamic" or "-AWQ"."""
    parts = re.split(r"[-_/]", name.lower())
    return next((stored for word, stored in _FORMATS.items() if word in parts), None)


def _simplifications(name: str) -> list[str]:
    found = [name]
    while True:
        shorter = _SUFFIX.sub("", found[-1])
        if shorter == found[-1]:
            return [*found, *(f.replace("meta-llama-", "llama-").replace("meta-", "") for f in found)]
        found.append(shorter)


@cache
def _index() -> dict[str, str]:
    """Lower-case names to names; a file's name is the model's with "/" written as "--"."""
    names = [path.stem.replace("--", "/") for path in MODELS.glob("*.json")]
    return {name.lower(): name for name in names}


@cache
def _short_names() -> dict[str, str]:
    """Names without their organisation, and aliases, in lower case."""
    found: dict[str, str] = {}
    for name in _index().values():
        for alias in (name, *_facts(name).get("aliases", ())):
            for short in _simplifications(alias.lower().rsplit("/", 1)[-1]):
                found.setdefault(short, name)
    return found


@cache
def _facts(name: str) -> dict[str, Any]:
    facts = _read(MODELS / f"{name.replace('/', '--')}.json")
    assert isinstance(facts, dict)
    return facts


@cache
def _shipped(name: str) -> Transformer:
    facts = _facts(name)
    found = transformer_from_config(facts["config"], name=name, file=f"{name} (shipped)")
    return replace(found, source=facts["source"], published_parameters=facts.get("published_parameters"))


def _read(path: Path) -> object:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read the model config: {error.strerror or error}", file=path) from None
    if len(data) > MAX_BYTES:
        raise InputError(f"a model config over {MAX_BYTES:,} bytes", file=path)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not a JSON model config: {error}", file=path) from None
