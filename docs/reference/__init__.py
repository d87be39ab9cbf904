"""Pages of the documentation that are written from the package itself while the site is built."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from reference import catalogue, commands, policies, schema

LISTED = {
    "models": (
        "Language models",
        "Models whose `config.json` is built in, for `--model`; `--model path/to/config.json` takes any other. "
        "Parameters in billions, those that a token visits beside them.",
    ),
    "graphs": (
        "Operator graphs",
        "Networks for `kind: inference`, training and pipelines. Parameters in millions and multiply-adds in "
        "thousand millions at batch 1, as counted here and as published.",
    ),
    "workloads": ("Workloads", "Loads by name, for `load: {generator: NAME}` and `simulator trace generate`."),
    "links": ("Links", "Interconnects that device, node and scenario files name. *Reached* is the share of it."),
    "nodes": ("Nodes", "Servers and instances: which devices, how many, and how they are connected."),
    "dtypes": ("Number formats", "Formats of weights, activations and caches, scales of blocks included."),
    "scenarios": (
        "Scenarios",
        "Scenario files that are shipped; of published systems the ratio to their baseline, predicted and reported. "
        "`simulator show scenarios NAME` prints one.",
    ),
    "plans": ("Plans", "Planning questions that are shipped; `simulator show plans NAME` prints one."),
}

# The path of each page that is written by the build, and what writes it.
PAGES: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands.page,
    "reference/policies.md": policies.page,
    "reference/devices.md": catalogue.devices,
    **{f"reference/{kind}.md": partial(catalogue.listed, kind, *about) for kind, about in LISTED.items()},
    **{f"reference/fields/{kind}.md": partial(schema.page, kind) for kind in schema.ROOTS},
}
