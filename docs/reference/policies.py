"""The page of policies, from the registry and the docstrings of the classes."""

from __future__ import annotations

import inspect

from reference.markdown import code, paragraphs, table, written
from simulator.policies.registry import GIVEN, POLICIES, policy_class

ABOUT = """# Policies

Written from the registry of policies. A policy is named in a scenario (`batching: {policy: sarathi, options:
{token_budget: 512}}`), on the command line (`--policy sarathi`, `--set router.policy=least-outstanding`), or by the
path of a class of your own (`--policy mine:ShortestPromptFirst`). `simulator show policy NAME` prints one of them.
Papers and engines that a policy follows are named with it; one without a source is a plain rule.
"""


def page() -> str:
    """Every policy: its kind, name, what it does, and its options."""
    parts = [ABOUT]
    for kind, known in POLICIES.items():
        parts.append(f"## {kind}\n")
        parts += [_policy(kind, name) for name in known]
    return "\n".join(parts)


def _policy(kind: str, name: str) -> str:
    found = policy_class(kind, name)
    about = paragraphs(inspect.getdoc(found) or "")
    return "\n".join([f"### {name} {{ #{kind}-{name} }}\n", about + "\n", _options(found)])


def _options(found: type) -> str:
    taken = [p for p in inspect.signature(found).parameters.values() if p.name not in GIVEN]
    rows = [(code(p.name), "**required**" if p.default is p.empty else written(p.default)) for p in taken]
    return table(("option", "default"), rows) if rows else ""
