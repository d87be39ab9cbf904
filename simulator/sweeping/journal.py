"""The finished points of a sweep on disk, one line each, so that a sweep that was killed goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simulator.errors import InputError

FILE = "sweep.jsonl"


class Journal:
    """Finished points by key. `handle` is of `sweep.jsonl`, to which each is added; None where nothing is written."""

    def __init__(self, handle: int | None, outcomes: dict[str, str]) -> None:
        self._handle = handle
        self.outcomes = outcomes

    def add(self, line: str) -> None:
        """Keep one outcome, a line of JSON with its `key`; it is on the disk when this returns."""
        if self._handle is not None:
            _append(self._handle, line)
        self.outcomes[str(json.loads(line)["key"])] = line


@contextmanager
def journal(folder: Path | None, sweep: str) -> Iterator[Journal]:
    """The journal in a folder (None: one that is not written), made where there is none.

    Its first line says which sweep it is, each other one is an outcome; a last line that was cut short is dropped.

    Raises `InputError` for the journal of another sweep, for one that another process is writing, and for a line that
    is damaged.
    """
    if folder is None:
        yield Journal(None, {})
        return
    path = folder / FILE
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None
    try:
        _lock(handle, folder)
        whole = path.read_bytes()
        end = whole.rfind(b"\n") + 1
        lines = whole[:end].splitlines()
        outcomes = _read(lines, sweep, path)
        if end < len(whole):
            os.ftruncate(handle, end)
        if not lines:
            _append(handle, json.dumps({"sweep": sweep}))
        yield Journal(handle, outcomes)
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    """Keep the journal for this process until it is closed. Raises `InputError` where another one has it."""
    try:
        import fcntl
    except ImportError:  # there are no such locks on Windows
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"another sweep is writing to {folder}: wait until it ends, or give another --out") from None
    except OSError:
        return  # some network file systems have no locks


def _read(lines: list[bytes], sweep: str, path: Path) -> dict[str, str]:
    """The lines of outcomes by their keys; of two with one key the later counts."""
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        values = _parsed(line)
        if number == 1 and "sweep" in values:
            if values["sweep"] != sweep:
                raise InputError(
                    f"{path.parent} holds another sweep (or this one before its scenario, a file that it reads or the "
                    f"simulator's version changed): give another --out, or delete {FILE} there"
                )
        elif number > 1 and isinstance(values.get("key"), str):
            found[values["key"]] = line.decode()
        else:
            raise InputError(
                "not a line of a sweep's journal: delete the line, and its point is simulated again"
                if number > 1
                else "not the journal of a sweep: delete the file, or give another --out",
                file=path,
                line=number,
            )
    return found


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _append(handle: int, line: str) -> None:
    data = f"{line}\n".encode()
    while data:
        data = data[os.write(handle, data) :]
    os.fsync(handle)
