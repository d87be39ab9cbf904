"""Programs of torch.export as graphs: on stand-ins of the documented structure, and on PyTorch itself where it is."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from simulator.errors import InputError
from simulator.workloads.graphs.counting import count
from simulator.workloads.graphs.lowering import unknown
from simulator.workloads.graphs.torch_import import read_exported, read_module


@dataclass(frozen=True)
class Fake:
    shape: tuple
    dtype: str = "torch.float32"


@dataclass(eq=False)
class FxNode:
    op: str
    name: str
    target: Any
    args: tuple = ()
    meta: dict = field(default_factory=dict)


class Trace:
    """Makes an ExportedProgram's graph, node by node."""

    def __init__(self):
        self.nodes, self.parameters, self.buffers = [], {}, {}

    def hold(self, kind, *shape, dtype="torch.float32"):
        name = f"p_{len(self.nodes)}"
        kind[name] = name
        return self._node("placeholder", name, name, (), Fake(shape, dtype))

    def weight(self, *shape):
        return self.hold(self.parameters, *shape)

    def input(self, *shape, dtype="torch.float32"):
        return self._node("placeholder", "x", "x", (), Fake(shape, dtype))

    def call(self, target, shape, *args):
        value = tuple(Fake(s) for s in shape) if shape and isinstance(shape[0], tuple) else Fake(shape)
        return self._node("call_function", f"{target}_{len(self.nodes)}", f"aten.{target}", args, value)

    def pick(self, source, place):
        node = self.call("getitem", source.meta["val"][place].shape, source, place)
        node.target = SimpleNamespace(__name__="getitem")
        return node

    def program(self, *outputs):
        self._node("output", "output", "output", (outputs,), None)
        signature = SimpleNamespace(inputs_to_parameters=self.parameters, inputs_to_buffers=self.buffers)
        return SimpleNamespace(graph=SimpleNamespace(nodes=self.nodes), graph_signature=signature)

    def _node(self, op, name, target, args, value):
        self.nodes.append(FxNode(op, name, target, args, {"val": value}))
        return self.nodes[-1]


def test_a_convolution_net_has_the_sizes_of_its_layers():
    t = Trace()
    x = t.input(2, 3, 32, 32)
    x = t.call("conv2d.default", (2, 16, 16, 16), x, t.weight(16, 3, 3, 3), None, [2, 2], [1, 1])
    statistics = [t.hold(t.buffers, 16) for _ in range(2)]
    x = t.call(
        "batch_norm.default", (2, 16, 16, 16), x, t.weight(16), t.weight(16), *statistics, False, 0.1, 1e-5, True
    )
    x = t.call("relu_.default", (2, 16, 16, 16), x)
    x = t.call("max_pool2d_with_indices.default", ((2, 16, 8, 8), (2, 16, 8, 8)), x, [2, 2], [2, 2])
    x = t.call("convolution.default", (2, 16, 8, 8), t.pick(x, 0), t.weight(16, 1, 3, 3), t.weight(16), [1, 1], [1, 1],
               [1, 1], False, [0, 0], 16)  # fmt: skip
    x = t.call("mean.dim", (2, 16), x, [2, 3])
    x = t.call("addmm.default", (2, 10), t.weight(10), x, t.call("t.default", (16, 10), t.weight(10, 16)))
    graph = read_exported(t.program(x))
    assert count(graph).parameters == 16 * 27 + 2 * 16 + 16 * 9 + 16 + 10 * 16 + 10
    assert count(graph).macs == 2 * (256 * 16 * 27 + 64 * 16 * 9 + 160)
    assert unknown(graph) == {}
    assert [graph.tensors[n].shape for n in graph.outputs] == [(2, 10)]


def test_a_transformer_layer_multiplies_what_it_should():
    t = Trace()
    n, s, w, h = 2, 10, 32, 4
    ids = t.input(n, s, dtype="torch.int64")
    x = t.call("embedding.default", (n, s, w), t.weight(100, w), ids)
    y = t.call("linear.default", (n, s, 3 * w), x, t.weight(3 * w, w), t.weight(3 * w))
    parts = t.call("split.Tensor", ((n, s, w),) * 3, y, w, -1)
    heads = [
        t.call("transpose.int", (n, h, s, w // h), t.call("view.default", (n, s, h, w // h), t.pick(parts, i)), 1, 2)
        for i in range(3)
    ]
    y = t.call("scaled_dot_product_attention.default", (n, h, s, w // h), *heads)
    y = t.call("reshape.default", (n, s, w), y, [n, s, w])
    x = t.call("add.Tensor", (n, s, w), x, y)
    x = t.call("layer_norm.default", (n, s, w), x, [w], t.weight(w), t.weight(w))
    graph = read_exported(t.program(t.call("mystery.default", (n, s, w), x)))
    assert count(graph).parameters == 100 * w + 3 * w * w + 3 * w + 2 * w
    assert count(graph).macs == n * s * 3 * w * w + 2 * n * s * s * w
    assert unknown(graph) == {"aten.mystery": 1}


def test_a_weight_that_a_table_and_a_product_share_counts_once():
    t = Trace()
    table = t.weight(100, 16)
    x = t.call("embedding.default", (2, 5, 16), table, t.input(2, 5, dtype="torch.int64"))
    graph = read_exported(t.program(t.call("linear.default", (2, 5, 100), x, table)))
    assert count(graph).parameters == 1600
    assert count(graph).macs == 2 * 5 * 16 * 100


def test_recurrent_layers_run_one_after_the_other():
    t = Trace()
    x, hidden = t.input(4, 12, 20), 16
    weights = []
    for features in (20, 32):
        for _ in range(2):
            shapes = ((4 * hidden, features), (4 * hidden, hidden), (4 * hidden,), (4 * hidden,))
            weights += [t.weight(*shape) for shape in shapes]
    y = t.call("lstm.input", ((4, 12, 32), (4, 4, 16), (4, 4, 16)), x, [], weights, True, 2, 0.0, False, True, True)
    graph = read_exported(t.program(t.pick(y, 0)))
    assert count(graph).macs == 4 * 12 * 2 * 4 * hidden * ((20 + hidden) + (32 + hidden))
    assert count(graph).parameters == 2 * 4 * hidden * ((20 + hidden + 2) + (32 + hidden + 2))
    assert [graph.tensors[n].shape for n in graph.outputs] == [(4, 12, 32)]


def test_a_projected_state_is_smaller_than_the_hidden_one():
    t = Trace()
    weights = [t.weight(*shape) for shape in ((64, 20), (64, 8), (64,), (64,), (8, 16))]
    y = t.call("lstm.input", ((4, 12, 8), (1, 4, 8), (1, 4, 16)), t.input(4, 12, 20), [], weights, True, 1, 0.0, False,
               False, True)  # fmt: skip
    graph = read_exported(t.program(t.pick(y, 0)))
    assert count(graph).macs == 4 * 12 * (64 * 20 + 64 * 8 + 8 * 16)
    assert count(graph).parameters == 64 * 20 + 64 * 8 + 2 * 64 + 8 * 16


def test_views_of_one_weight_do_not_count_it_again():
    t = Trace()
    table, x = t.weight(32, 16), t.input(5, 32)
    y = t.call("mm.default", (5, 16), x, table)
    part = t.call("slice.Tensor", (8, 16), table, 0, 0, 8)
    graph = read_exported(t.program(t.call("matmul.default", (5, 8), y, t.call("t.default", (16, 8), part))))
    assert count(graph).parameters == 32 * 16
    assert count(graph).macs == 5 * 32 * 16 + 5 * 16 * 8


def test_open_sizes_are_refused_by_name():
    class Open:
        def __int__(self):
            raise TypeError("symbolic")

    t = Trace()
    x = t.input(Open(), 3)
    with pytest.raises(InputError, match=r"node x: its shape .* is open"):
        read_exported(t.program(t.call("relu.default", (2, 3), x)))


def test_a_module_traced_by_pytorch():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(288, 5))
    graph = read_module(module, [torch.zeros(1, 3, 8, 8)])
    assert count(graph).parameters == sum(p.numel() for p in module.parameters())
    assert count(graph).macs == 36 * 8 * 27 + 288 * 5
    assert unknown(graph) == {}


def test_modules_without_pytorch_are_refused_in_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(InputError, match=r"need the package torch: pip install 'simulator\[torch\]'"):
        read_module(None, [])
