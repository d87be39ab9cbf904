"""Conditions and loops: the branch that runs, or the longest; a body as often as it runs.

Where the file does not say which branch or how many rounds, the longest branch or one round is taken, and a node that
is named so counts as estimated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from simulator.workloads.graphs.interchange.facts import Fact, Scope
from simulator.workloads.graphs.interchange.formats import INT64

if TYPE_CHECKING:
    from simulator.workloads.graphs.interchange.reading import Reader

CONTROL = ("If", "Loop", "Scan")
ENDLESS = 1 << 31  # a trip count as large as this only says that the condition ends the loop


def read_control(reader: Reader, node: Any, label: str, operands: Sequence[Fact | None], scope: Scope) -> list[Fact]:
    """Add the nodes of the subgraphs that run; gives the node's results."""
    bodies = {a.name: a.g for a in node.attribute if a.type == a.GRAPH}
    if node.op_type == "If":
        return _condition(reader, node, label, operands, bodies, scope)
    numbers = {a.name: (list(a.ints) if a.type == a.INTS else a.i) for a in node.attribute}
    if node.op_type == "Scan":
        return _scan(reader, node, label, operands, bodies["body"], numbers, scope)
    return _loop(reader, node, label, operands, bodies["body"], scope)


def _condition(
    reader: Reader, node: Any, label: str, operands: Sequence[Fact | None], bodies: dict[str, Any], scope: Scope
) -> list[Fact]:
    given = operands[0]
    if given is not None and given.value is not None:
        body = bodies["then_branch" if given.value.item() else "else_branch"]
        return reader.body(body, label, {}, scope)
    body = max(bodies.values(), key=_length)
    results = reader.body(body, label, {}, scope)
    return reader.renamed("If of unknown outcome", label, results, [fact.shape for fact in results])


def _length(graph: Any) -> int:
    """Nodes of a graph and of the graphs inside it."""
    inner = (a.g for n in graph.node for a in n.attribute if a.type == a.GRAPH)
    return len(graph.node) + sum(map(_length, inner))


def _loop(
    reader: Reader, node: Any, label: str, operands: Sequence[Fact | None], body: Any, scope: Scope
) -> list[Fact]:
    """Operands: most rounds, condition, values carried from round to round; results: these, and rows of each round."""
    most = operands[0]
    rounds = int(most.value.item()) if most is not None and most.value is not None else ENDLESS
    known = rounds < ENDLESS and _goes_on(body)
    carried = [_carried(fact) for fact in operands[2:]]
    inputs = [Fact("", (), INT64), Fact("", (), 9), *carried]
    bound = {value.name: fact for value, fact in zip(body.input, inputs, strict=False)}
    with reader.repeated(rounds if known else 1):
        results = reader.body(body, label, bound, scope)[1:]
    rows = [(rounds if known else 1, *fact.shape) for fact in results[len(carried) :]]
    kind = "Expand" if known else "Loop of unknown length"
    return _finished(reader, label, kind, results, len(carried), rows)


def _goes_on(body: Any) -> bool:
    """Whether the body hands its condition on unchanged, so that only the count ends the loop."""
    out = body.output[0].name
    same = {n.output[0]: n.input[0] for n in body.node if n.op_type == "Identity"}
    return same.get(out, out) == body.input[1].name or any(
        out in n.output and n.op_type == "Constant" for n in body.node
    ) or out in {w.name for w in body.initializer}  # fmt: skip


def _scan(
    reader: Reader, node: Any, label: str, operands: Sequence[Fact | None], body: Any, numbers: dict[str, Any],
    scope: Scope,
) -> list[Fact]:  # fmt: skip
    """Operands: states, then sequences that the body sees one element of in each round."""
    count = numbers["num_scan_inputs"]
    states, sequences = operands[: len(operands) - count], [f for f in operands[len(operands) - count :] if f]
    axes = numbers.get("scan_input_axes") or [0] * count
    rounds = sequences[0].shape[axes[0]]
    slices = [
        replace(fact, shape=tuple(s for i, s in enumerate(fact.shape) if i != axis % len(fact.shape)), constant=False,
                value=None)
        for fact, axis in zip(sequences, axes, strict=True)
    ]  # fmt: skip
    inputs = [*(_carried(fact) for fact in states), *slices]
    bound = {value.name: fact for value, fact in zip(body.input, inputs, strict=False)}
    with reader.repeated(rounds):
        results = reader.body(body, label, bound, scope)
    out_axes = numbers.get("scan_output_axes") or [0] * (len(results) - len(states))
    rows = []
    for fact, axis in zip(results[len(states) :], out_axes, strict=True):
        shape = list(fact.shape)
        shape.insert(axis % (len(shape) + 1), rounds)
        rows.append(tuple(shape))
    return _finished(reader, label, "Expand", results, len(states), rows)


def _carried(fact: Fact | None) -> Fact:
    """A value that may change from round to round."""
    assert fact is not None
    return replace(fact, constant=False, value=None)


def _finished(
    reader: Reader, label: str, kind: str, results: Sequence[Fact], carried: int, rows: Sequence[tuple[int, ...]]
) -> list[Fact]:
    """Results of a loop: values of the last round as they are, and the rows that all rounds have written."""
    last = reader.renamed("Identity", label, results[:carried], [fact.shape for fact in results[:carried]])
    if kind != "Expand" and not rows:
        last = reader.renamed(kind, label, results[:carried], [fact.shape for fact in results[:carried]])
    return last + (reader.renamed(kind, f"{label}/rows", results[carried:], rows) if rows else [])
