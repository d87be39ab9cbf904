"""Manifests as YAML that a person can read: comments first, texts of several lines as blocks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from simulator.deployment.exported import one_line


def manifest_text(comments: Iterable[str], manifest: dict[str, Any]) -> str:
    """A document as text, its keys in the order given."""
    import yaml

    class Readable(yaml.SafeDumper):
        pass

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Readable.add_representer(str, text)
    head = "".join(f"# {one_line(comment)}\n" for comment in comments)
    return head + str(yaml.dump(manifest, Dumper=Readable, sort_keys=False, width=120))
