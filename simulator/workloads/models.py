"""Models by name: the config facts that come with the package, or any `config.json` by path."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from simulator.errors import InputError, unknown_name
from simulator.workloads.huggingface import transformer_from_config
from simulator.workloads.transformer import Transformer

MODELS = Path(__file__).with_name("models")
MAX_BYTES = 10_000_000
LONGEST_NAME = 200
REMEDY = "(a path to a config.json works too)"

# Number formats that the name of a requantised checkpoint states.
_FORMATS = {
    "fp8": "fp8",
    "nvfp4": "nvfp4",
    "fp4": "nvfp4",
    "mxfp4": "mxfp4",
    "awq": "int4",
    "gptq": "int4",
    "int4": "int4",
    "4bit": "int4",
    "w4a16": "int4",
    "int8": "int8",
    "8bit": "int8",
    "w8a8": "int8",
    "bf16": "bf16",
    "fp16": "fp16",
}
# Words that publishers add to a checkpoint's name without changing its shape.
_TRAINING = {"base", "chat", "deduped", "hf", "instruct", "it", "meta", "preview", "pt", "sft", "thinking"}
_PACKING = {*_FORMATS, "bnb", "dynamic", "gguf", "kv", "quantized", "unsloth"}
_DATE = re.compile(r"\d{4}|v\d+\.\d+")


def model(name_or_path: str) -> Transformer:
    """The model of this name or alias, or the one described by a config.json (or a folder that holds one).

    Case, organisation and words such as -Instruct, -hf or -AWQ do not matter, but a number format in the
    name sets the model's `dtype`. Raises `InputError` for unknown or ambiguous names, unreadable files and
    unsupported architectures.
    """
    path = _config_path(name_or_path)
    if path is not None:
        stem = path.resolve().parent.name if path.name == "config.json" else path.stem
        return transformer_from_config(_read(path), name=stem, file=str(path))
    found = _shipped(_find(name_or_path))
    stored = _format_in(name_or_path)
    return found if stored is None else replace(found, dtype=stored)


def model_names() -> list[str]:
    """The names of all models that come with the package."""
    return sorted(_names().values(), key=str.lower)


def model_facts(name: str) -> dict[str, Any]:
    """The shipped file of a model: its config, the source, and the published parameter count.

    Raises `InputError` for unknown or ambiguous names.
    """
    return dict(_facts(_find(name)))


def _config_path(name_or_path: str) -> Path | None:
    """The file that the argument means, or None if it is a name."""
    path = Path(name_or_path)
    try:
        if (path / "config.json").is_file():
            return path / "config.json"
        return path if path.suffix == ".json" or path.is_file() else None
    except OSError:
        return None


def _find(name: str) -> str:
    """The shipped model's full name: by its own name, else by what all names of the same shape share."""
    if len(name) > LONGEST_NAME:
        raise InputError(f"a model name of {len(name):,} characters: expected at most {LONGEST_NAME} {REMEDY}")
    exact = _names().get(name.strip().lower())
    if exact is not None:
        return exact
    for key in _keys(name):
        found = _by_key().get(key, frozenset())
        if len(found) == 1:
            return next(iter(found))
        if found:
            raise InputError(f"ambiguous model {name!r}: it could be {' or '.join(sorted(found))} {REMEDY}")
    raise unknown_name("model", name, _names().values(), remedy=REMEDY)


def _words(name: str) -> list[str]:
    """Lower-case words of a name without its organisation; "phi-1_5" and "phi-1.5" give the same."""
    bare = re.sub(r"(?<=\d)_(?=\d)", ".", name.strip().lower().rsplit("/", 1)[-1])
    return [word for word in re.split(r"[-_\s]+|(?<=quantized)\.", bare) if word]


def _keys(name: str) -> Iterator[str]:
    """What a name is looked up by, the most exact first: dates and versions are dropped only last.

    Separators do not count, so that "llama2-7b" is "Llama-2-7b".
    """
    words = _words(name)
    plain = [word for word in words if word not in _PACKING]
    short = [word for word in plain if word not in _TRAINING]
    for kept in (words, plain, short, [word for word in short if not _DATE.fullmatch(word)]):
        if kept:
            yield "-".join(_join_digits("".join(f"{word} " for word in kept)))


def _join_digits(text: str) -> list[str]:
    """The runs of letters and the numbers of a text, in order."""
    return re.findall(r"[a-z]+|\d+(?:\.\d+)*", text)


def _format_in(name: str) -> str | None:
    """The number format that a quantised checkpoint's name states, such as "-FP8-dynamic" or "-AWQ"."""
    words = _words(name)
    found = next((_FORMATS[word] for word in words if word in _FORMATS), None)
    return "fp8_dynamic" if found == "fp8" and "dynamic" in words else found


@cache
def _names() -> dict[str, str]:
    """Lower-case names to names; a file's name is the model's with "/" written as "--"."""
    names = [path.stem.replace("--", "/") for path in MODELS.glob("*.json")]
    return {name.lower(): name for name in names}


@cache
def _by_key() -> dict[str, frozenset[str]]:
    """Lookup keys of all names and aliases to the models that they may mean.

    A key that some name spells out in full means that model alone, however many others it abbreviates.
    """
    exact: dict[str, set[str]] = {}
    looser: dict[str, set[str]] = {}
    for name in _names().values():
        for alias in (name, *_facts(name).get("aliases", ())):
            first, *others = _keys(alias)
            exact.setdefault(first, set()).add(name)
            for key in others:
                looser.setdefault(key, set()).add(name)
    return {key: frozenset(found) for key, found in (looser | exact).items()}


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
    """The JSON of a file. Raises `InputError` if it is none, cannot be read, or is over `MAX_BYTES`."""
    if path.exists() and not path.is_file():
        raise InputError("not a file", file=path)
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
