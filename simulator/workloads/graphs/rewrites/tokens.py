"""Fewer tokens: merged or dropped on the way through a transformer, or for one attention only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.errors import InputError
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.rewrites.editing import Edit, chosen
from simulator.workloads.operators import Size


@dataclass(frozen=True, slots=True)
class MergeTokens:
    """Merge tokens after the nodes `after` (names or types), `tokens` of them each time or the `share` of those left.

    Half the tokens are compared with the other half, and each merged one is averaged into its nearest (ToMe,
    arXiv:2210.09461, 3); `dropped` tokens are neither compared nor averaged (scores that exist choose them). Without
    `after` every attention's result is merged once its layer has added it.
    """

    tokens: int | None = None
    share: float | None = None
    after: Sequence[str] | None = None
    dropped: bool = False

    def __call__(self, graph: Graph) -> Graph:
        if (self.tokens is None) == (self.share is None):
            raise InputError("merge-tokens: give one of tokens and share")
        if self.tokens is not None and self.tokens < 1:
            raise InputError(f"merge-tokens: tokens is {self.tokens}: give at least 1")
        if self.share is not None and not 0.0 < self.share < 1.0:
            raise InputError(f"merge-tokens: share is {self.share}: give one between 0 and 1")
        if self.after is None:
            places = _after_attention(graph)
        else:
            places = {node.outputs[0] for node in chosen(graph, self.after, "merge-tokens.after")}
        edit = Edit(graph)
        renamed: dict[str, str] = {}
        for node in graph.nodes:
            edit.keep(node, inputs=tuple(renamed.get(n, n) for n in node.inputs))
            for name in node.written:
                if name in places and len(edit.tensors[name].shape) == 3:
                    renamed[name] = self._merge(edit, name, node.repeat)
        return edit.build(outputs=tuple(renamed.get(n, n) for n in graph.outputs))

    def _merge(self, edit: Edit, name: str, repeat: Size) -> str:
        batch, tokens, width = edit.tensors[name].shape
        if np.all(np.asarray(tokens) < 2):
            return name
        gone = np.floor(np.asarray(tokens) * self.share) if self.share is not None else np.asarray(self.tokens)
        left = np.maximum(tokens - np.minimum(gone, tokens // 2), 1)
        kept = left if left.ndim else int(left)
        operands = [name]
        if not self.dropped:
            half = [batch, tokens // 2, width]
            one, other = (
                edit.add(f"{name}.half_{i}", "Slice", [name], shape=half, axes=[1], repeat=repeat) for i in (1, 2)
            )
            turned = edit.add(f"{name}.turned", "Transpose", [other], perm=[0, 2, 1], repeat=repeat)
            scores = edit.add(f"{name}.nearness", "MatMul", [one, turned], repeat=repeat)
            operands.append(edit.add(f"{name}.nearest", "ArgMax", [scores], axis=-1, keepdims=1, repeat=repeat))
        return edit.add(f"{name}.merged", "Slice", operands, shape=[batch, kept, width], axes=[1], repeat=repeat)


def _after_attention(graph: Graph) -> set[str]:
    """Results of the first residual addition behind each attention."""
    found = set()
    for node in graph.nodes:
        if node.type == "Attention":
            name: str | None = node.outputs[0]
            while name is not None:
                reader: Node | None = next(iter(graph.consumers.get(name, ())), None)
                name = reader.outputs[0] if reader is not None else None
                if (
                    reader is not None
                    and reader.type == "Add"
                    and not any(graph.tensors[n].weight for n in reader.inputs)
                ):
                    found.add(reader.outputs[0])
                    break
    return found
