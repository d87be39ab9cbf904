"""Policies by name: what is wrong with their options is said in one line."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.errors import InputError
from simulator.policies.registry import build_policy


@pytest.mark.parametrize(
    ("kind", "name", "options", "message"),
    [
        ("roles", "scheduled", {}, r"^roles policy scheduled: its option at is missing: add it$"),
        (
            "roles",
            "scheduled",
            {"at": 5},
            r"scheduled: option at is a list \(each: a list \(each: a number\)\), not 5$",
        ),
        ("finetuning", "temporal", {"iterations": "x"}, r"option iterations is a whole number, not 'x'$"),
        ("queue", "mlfq", {"level": 3}, r"^unknown option of queue policy mlfq 'level': did you mean levels\?$"),
        (
            "packing",
            "dynamic-mesh",
            {"tokens": "9"},
            r": option tokens is a whole number or null, not '9'$",
        ),
        ("context", "head-context", {"placement": 3}, r"^context policy head-context: option placement is one of "),
        ("offload", "pipe-offload", {"share": True}, r"option share is a number or null, not True$"),
        ("elastic", "reroute", {"x": 1}, r"^elastic policy reroute takes no options: leave x out$"),
        ("queue", "mlfq", {"levels": 0}, r"^queue policy mlfq: levels, .* must be 1 or more"),
    ],
)
def test_options_are_refused_in_one_line(kind: str, name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_policy(kind, name, options)
