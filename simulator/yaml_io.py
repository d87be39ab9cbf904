"""YAML as data: safe, bounded, and every complaint is one line with its file and line.

Scalars follow the YAML 1.2 core schema, so `121e12` is a number, `on` and `no` are words and `12:30` is text;
underscores may group digits (`1_000_000`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml

from simulator.errors import InputError, unknown_name

MAX_BYTES = 5_000_000
MAX_REPEATED_NODES = 100_000
MAX_DEPTH = 100

PACKAGE = Path(__file__).parent
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """The safe loader with the scalars of the YAML 1.2 core schema."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


def _core_integer(loader: Any, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("_", "").lower()
    return int(text, 0) if text[:2] in ("0x", "0o") else int(text)


def _define_core_schema() -> None:
    for tag, pattern, first in (
        ("null", r"~|null|Null|NULL|", "~nN\0"),
        ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
        ("int", r"[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
        (
            "float",
            r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
            "-+.0123456789",
        ),
        ("merge", "<<", "<"),
    ):
        firsts = ["" if c == "\0" else c for c in first]
        _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{pattern})$"), firsts)
    _Loader.add_constructor("tag:yaml.org,2002:int", _core_integer)


_define_core_schema()


def load_yaml(path: str | Path) -> object:
    """The one document in the YAML file at `path`, as plain dicts, lists and scalars; None where it is empty.

    Raises `InputError` with file and line for a file that cannot be read or is over 5 MB, for bad syntax,
    duplicate keys, aliases that contain themselves or expand too far, and every tag that is not plain data.
    """
    if PACKAGE in Path(path).parents:
        return yaml.load(read_text(path), _Loader)  # files of the package itself are tested, and need no guard
    return loads_yaml(read_text(path), file=path)


def loads_yaml(text: str, *, file: str | Path | None = None) -> object:
    """As `load_yaml`, for YAML in a string; `file` is the name that errors give."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise InputError(f"YAML over {MAX_BYTES:,} bytes", file=file)
    try:
        _refuse_depth(text, file)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _Checker(file).check(node)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise _as_input_error(error, text, file) from None
    except (ValueError, UnicodeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"a YAML value cannot be read: {error}", file=file) from None


def _refuse_depth(text: str, file: str | Path | None) -> None:
    """Refuses nesting that the recursive composer of the C library would not survive."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = None if event.start_mark is None else event.start_mark.line + 1
                raise InputError(f"YAML nested deeper than {MAX_DEPTH} levels", file=file, line=line)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def read_text(path: str | Path) -> str:
    """The UTF-8 text of a file of at most 5 MB. Raises `InputError` naming the file otherwise."""
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read the file: {error.strerror or error}", file=path) from None
    if len(data) > MAX_BYTES:
        raise InputError(f"YAML over {MAX_BYTES:,} bytes", file=path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"not UTF-8 text: byte 0x{data[error.start]:02x}", file=path, line=line) from None


def line_of(text: str, keys: Sequence[str | int]) -> int | None:
    """The 1-based line in YAML `text` of the entry that `keys` lead to, or of the nearest parent that is there.

    None where the text is no YAML or `keys` is empty. Meant for the moment of an error: it parses again.
    """
    try:
        _refuse_depth(text, None)
        node = yaml.compose(text, _Loader)
    except (yaml.YAMLError, InputError):
        return None
    line: int | None = None
    for key in keys:
        found = _child(node, key)
        if found is None:
            return line
        line, node = found
    return line


def _child(node: yaml.Node | None, key: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == str(key):
                return name.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and 0 <= key < len(node.value):
        return node.value[key].start_mark.line + 1, node.value[key]
    return None


class _Checker:
    """Refuses a node graph that is not a small tree with unique keys."""

    def __init__(self, file: str | Path | None) -> None:
        self.file = file
        self.extents: dict[int, tuple[int, int]] = {}
        self.open: set[int] = set()
        self.repeated = 0

    def check(self, node: yaml.Node) -> tuple[int, int]:
        """The number of nodes under `node` and their levels, with every alias written out."""
        line = node.start_mark.line + 1
        key = id(node)
        if key in self.open:
            raise InputError("an alias contains itself", file=self.file, line=line)
        if key in self.extents:
            self.repeated += self.extents[key][0]
            if self.repeated > MAX_REPEATED_NODES:
                message = f"aliases expand to more than {MAX_REPEATED_NODES:,} values"
                raise InputError(message, file=self.file, line=line)
            return self.extents[key]
        self.open.add(key)
        children = [self.check(child) for child in self._children(node)]
        self.open.remove(key)
        size = 1 + sum(nodes for nodes, _ in children)
        levels = 1 + max((below for _, below in children), default=0)
        if levels > MAX_DEPTH + 1:
            raise InputError(f"aliases nest deeper than {MAX_DEPTH} levels", file=self.file, line=line)
        self.extents[key] = size, levels
        return size, levels

    def _children(self, node: yaml.Node) -> Iterator[yaml.Node]:
        if isinstance(node, yaml.SequenceNode):
            yield from node.value
        elif isinstance(node, yaml.MappingNode):
            self._refuse_duplicates(node)
            for name, value in node.value:
                yield name
                yield value

    def _refuse_duplicates(self, node: yaml.MappingNode) -> None:
        first: dict[tuple[str, str], int] = {}
        for name, _ in node.value:
            line = name.start_mark.line + 1
            if not isinstance(name, yaml.ScalarNode):
                raise InputError("a key must be a plain word or number", file=self.file, line=line)
            key = (name.tag, name.value)
            if key in first:
                message = f"duplicate key {name.value!r}, first given on line {first[key]}"
                raise InputError(message, file=self.file, line=line)
            first[key] = line


def _as_input_error(error: yaml.YAMLError, text: str, file: str | Path | None) -> InputError:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        problem = error.problem or error.context or "bad syntax"
        return InputError(f"not usable YAML: {problem}", file=file, line=line)
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return InputError(f"not usable YAML: {error.reason}", file=file, line=line)
    return InputError(f"not usable YAML: {error}", file=file)


class Fields:
    """One mapping of a YAML data file, read field by field.

    Every complaint is an `InputError` that names the field by its path (`memory.bandwidth`), the value and what is
    allowed, with the file and the line.
    """

    def __init__(self, values: object, *, file: str | Path, text: str, at: tuple[str, ...] = ()) -> None:
        self._file, self._text, self._at = file, text, at
        if not isinstance(values, dict):
            raise self.error(None, f"must be a mapping of fields, not {_shown(values)}")
        self._values = values

    @classmethod
    def load(cls, path: str | Path) -> Fields:
        """The fields of the one mapping in the file at `path`."""
        text = read_text(path)
        return cls(loads_yaml(text, file=path), file=path, text=text)

    def __contains__(self, key: str) -> bool:
        """Whether the file gives the field."""
        return key in self._values

    def names(self) -> list[str]:
        """The names of the fields, in the order of the file."""
        return list(self._values)

    def plain(self) -> dict[str, Any]:
        """All fields as plain data."""
        return dict(self._values)

    def only(self, required: Collection[str], optional: Collection[str] = ()) -> None:
        """Refuses fields that are neither `required` nor `optional`, and the lack of a required one."""
        kind = f"field of {'.'.join(self._at)}" if self._at else "field"
        for key in self._values:
            if key not in required and key not in optional:
                problem = unknown_name(kind, key, [*required, *optional])
                raise InputError(problem.message, file=self._file, line=line_of(self._text, (*self._at, str(key))))
        missing = [key for key in required if key not in self._values]
        if missing:
            raise self.error(None, f"lacks {', '.join(missing)}")

    def text(self, key: str, default: str | None = None, *, choices: Collection[str] = ()) -> str:
        """The non-empty text of `key`; one of `choices` where those are given."""
        value = self._values.get(key, default)
        if not isinstance(value, str) or not (value.strip() or value == default):
            raise self.error(key, f"must be text, not {_shown(value)}")
        if choices and value not in choices:
            problem = unknown_name(".".join((*self._at, key)), value, choices)
            raise InputError(problem.message, file=self._file, line=line_of(self._text, (*self._at, key)))
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of texts of `key`; empty where the field is absent."""
        value = self._values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
            raise self.error(key, f"must be a list of texts, not {_shown(value)}")
        return tuple(value)

    def number(self, key: str, *, least: float = 0.0, above: bool = True, most: float = math.inf) -> float:
        """The finite number of `key`, greater than `least` (or equal to it, where not `above`), at most `most`."""
        value = self._values.get(key)
        allowed = f"{'above' if above else 'at least'} {least:g}" + (
            f" and at most {most:g}" if most < math.inf else ""
        )
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.error(key, f"must be a number {allowed}, not {_shown(value)}")
        if value < least or (above and value == least) or value > most:
            raise self.error(key, f"must be {allowed}, not {_shown(value)}")
        return float(value)

    def whole(self, key: str, *, least: int = 1, most: int = 1_000_000) -> int:
        """The whole number of `key` between `least` and `most`."""
        value = self.number(key, least=least, above=False, most=most)
        if value != int(value):
            raise self.error(key, f"must be a whole number, not {_shown(value)}")
        return int(value)

    def flag(self, key: str, default: bool) -> bool:
        """The true or false of `key`."""
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"must be true or false, not {_shown(value)}")
        return value

    def fields(self, key: str) -> Fields:
        """The mapping under `key`; an empty one where the field is absent."""
        return Fields(self._values.get(key, {}), file=self._file, text=self._text, at=(*self._at, key))

    def numbers(self, allowed: Collection[str]) -> dict[str, float]:
        """All fields of this mapping as positive numbers; their names are among `allowed`."""
        self.only((), allowed)
        return {key: self.number(key) for key in self._values}

    def error(self, key: str | None, problem: str) -> InputError:
        """An `InputError` about `key`, or about this mapping as a whole."""
        path = self._at if key is None else (*self._at, key)
        name = ".".join(path) or "the file"
        return InputError(f"{name} {problem}", file=self._file, line=line_of(self._text, path))


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
