"""Copies between layouts of images around convolutions whose kernels want the channels last."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.rewrites.editing import Edit

NARROW = ("fp16", "bf16")


@dataclass(frozen=True, slots=True)
class ConvertLayouts:
    """Bring images with channels first into the order that matrix units need, and results back.

    cuDNN does so around each dense convolution of 16-bit numbers (NVIDIA, "Convolutional Layers User's Guide", tensor
    layouts); those that see few channels at a time run on the vector units in any layout.
    """

    def __call__(self, graph: Graph) -> Graph:
        edit = Edit(graph)
        for node in graph.nodes:
            if not _dense(graph, node):
                edit.keep(node)
                continue
            (out,) = node.outputs
            last = edit.add(f"{node.name}.channels_last", "ReorderInput", [node.inputs[0]], repeat=node.repeat)
            result = edit.free(f"{out}.channels_last")
            edit.tensors[result] = replace(edit.tensors[out], name=result)
            edit.keep(node, inputs=(last, *node.inputs[1:]), outputs=(result,))
            edit.add(f"{node.name}.channels_first", "ReorderInput", [result], result=out, repeat=node.repeat)
        return edit.build()


def _dense(graph: Graph, node: Node) -> bool:
    if node.type != "Conv" or node.epilogue or graph.tensors[node.inputs[0]].dtype.name not in NARROW:
        return False
    return bool(np.all(np.asarray(node.attributes.get("group", 1)) == 1))
