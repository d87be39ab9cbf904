"""Names of what may also be a file of one's own: outputs have the name, never a path."""

from __future__ import annotations

from pathlib import Path


def is_file(name: str) -> bool:
    """Whether a model, device, node or engine is described in a file and not named."""
    return name.endswith((".json", ".yaml", ".yml"))


def checkpoint(name: str) -> str:
    """The name itself; of a file, that of its folder for a `config.json` and its own else, since no other is known."""
    if not is_file(name):
        return name
    path = Path(name)
    return path.parent.name if path.stem == "config" and path.parent.name else path.stem
