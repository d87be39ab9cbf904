"""The backward pass of a node, by one rule for each kind of operator."""

from __future__ import annotations

from dataclasses import replace

from simulator.workloads.operators import AnyOperator, Collective, Convolution, Elementwise, Gather, Gemm
from simulator.workloads.training.block import Block
from simulator.workloads.training.job import Formats
from simulator.workloads.training.layer_graph import GraphOperator, Node, read

# A collective's gradient goes the other way.
REVERSE = {"all_gather": "reduce_scatter", "reduce_scatter": "all_gather"}


def block_of(node: Node, samples: float, formats: Formats, *, inputs: bool = True) -> Block:
    """The block of a node for so many samples; `inputs` says that someone needs the gradient of its inputs."""
    op = sized(node.op, samples, formats)
    of_inputs, of_weights = gradients(op, bool(node.weights))
    kept = read(node.op) if node.kept is None else node.kept
    # sums over edges and messages are linear, so that their gradients need no activations
    linear = node.kept is None and not isinstance(op, Gemm | Convolution | Elementwise)
    saved = 0.0 if linear else kept * samples * formats.activations.bytes
    return Block(node.name, (op,), of_inputs if inputs else (), of_weights, saved)


def gradients(op: GraphOperator, weighted: bool) -> tuple[tuple[AnyOperator, ...], tuple[AnyOperator, ...]]:
    """Operators that give the gradients of an operator's inputs, and of its weights if it has any.

    - product: two products of the same size, the second for the weights, or for the other factor where both change;
    - convolution: both gradients multiply as often as the forward pass and move the same three tensors, so that each
      is timed as the forward pass is (the shape of the product, hence its tiles, differs);
    - elementwise: reads what was kept besides the gradient that comes in; weights' sums ride along;
    - gather: adds rows of gradients to those of the table, which are read and written;
    - aggregation: the sum over reversed edges;
    - collective: its reverse.
    """
    if isinstance(op, Gemm):
        first, second = replace(op, n=op.k, k=op.n), replace(op, m=op.k, k=op.m)
        return ((first,), (second,)) if weighted else ((first, second), ())
    if isinstance(op, Convolution):
        return (op,), (op,)
    if isinstance(op, Elementwise):
        return (replace(op, reads=op.reads + 1.0, flops_per_element=2.0 * op.flops_per_element),), ()
    if isinstance(op, Gather):
        added = Elementwise(op.rows * op.columns, 2.0, 1.0, 1.0, op.activation, op.kernel)
        return ((), (added,)) if weighted else ((added,), ())
    if isinstance(op, Collective):
        return (replace(op, pattern=REVERSE.get(op.pattern, op.pattern)),), ()
    return (op,), ()


def sized(op: GraphOperator, samples: float, formats: Formats) -> GraphOperator:
    """An operator on one sample as it runs on several, in the formats of the job."""
    act = formats.activations
    if isinstance(op, Gemm):
        weight, rows = formats.compute, {"m": op.m * samples} if op.batch == 1.0 else {"batch": op.batch * samples}
        return replace(op, **rows, weight=weight, activation=act)
    if isinstance(op, Convolution):
        return replace(op, batch=op.batch * samples, weight=formats.compute, activation=act)
    if isinstance(op, Elementwise):
        return replace(op, elements=op.elements * samples, activation=act)
    if isinstance(op, Gather):
        return replace(op, rows=op.rows * samples, activation=act)
    if isinstance(op, Collective):
        return replace(op, message=op.message * samples * act.bytes)
    return replace(op, edges=op.edges * samples, vertices=op.vertices * samples, activation=act)
