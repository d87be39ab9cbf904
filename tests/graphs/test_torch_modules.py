"""Real PyTorch modules against PyTorch's own counter of FLOPs; skipped where torch is not installed."""

import pytest

from simulator.workloads.graphs.counting import count
from simulator.workloads.graphs.lowering import unknown
from simulator.workloads.graphs.torch_import import read_exported, read_module

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'simulator[torch]'")
nn, F = torch.nn, torch.nn.functional
flop_counter = pytest.importorskip("torch.utils.flop_counter")


class Excited(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, width):
        super().__init__()
        self.down, self.up = nn.Conv2d(width, width // 4, 1), nn.Conv2d(width // 4, width, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))


class Inverted(nn.Module):
    """A block of MobileNet."""

    def __init__(self, width, out, factor, stride):
        super().__init__()
        wide = width * factor
        self.layers = nn.Sequential(
            nn.Conv2d(width, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.Hardswish(),
            Excited(wide), nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out),
        )  # fmt: skip
        self.around = stride == 1 and width == out

    def forward(self, x):
        return x + self.layers(x) if self.around else self.layers(x)


class Basic(nn.Module):
    """A block of ResNet."""

    def __init__(self, width, out, stride=1):
        super().__init__()
        self.one, self.two = nn.Conv2d(width, out, 3, stride, 1, bias=False), nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norm, self.last = nn.BatchNorm2d(out), nn.BatchNorm2d(out)
        short = nn.Sequential(nn.Conv2d(width, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        self.short = short if stride > 1 or width != out else nn.Identity()

    def forward(self, x):
        y = self.last(self.two(F.relu(self.norm(self.one(x)), inplace=True)))
        return F.relu(y + self.short(x), inplace=True)


class Block(nn.Module):
    """A block of GPT."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.before, self.behind = heads, nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        n, s, w = x.shape
        q, k, v = self.qkv(self.before(x)).view(n, s, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, s, w)
        x = x + self.out(y)
        return x + self.feed(self.behind(x))


class Gpt(nn.Module):
    """Token and place tables, blocks, and a head, tied to the token table or not."""

    def __init__(self, tied):
        super().__init__()
        self.tokens, self.places = nn.Embedding(100, 32), nn.Embedding(64, 32)
        self.blocks, self.norm = nn.Sequential(*(Block(32, 4) for _ in range(3))), nn.LayerNorm(32)
        self.head = nn.Linear(32, 100, bias=False)
        if tied:
            self.head.weight = self.tokens.weight

    def forward(self, ids):
        x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        return self.head(self.norm(self.blocks(x)))


class Called(nn.Module):
    """A module by what is made of it and its inputs."""

    def __init__(self, inner, call):
        super().__init__()
        self.inner, self.call = inner, call

    def forward(self, *inputs):
        return self.call(self.inner, *inputs)


def first(module, x):
    return module(x)[0]


def attend(weights):
    return lambda module, x: module(x, x, x, need_weights=weights)[0]


def grouped_query(module, x):
    n, s, _ = x.shape
    q, k, v = (part.view(n, s, -1, 8).transpose(1, 2) for part in module(x).split([32, 8, 8], -1))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


def by_hand(module, x):
    y = torch.addmm(module.bias, x, module.weight.t())
    z = torch.bmm(y[:, :, None], y[:, None])
    return (
        z.softmax(-1).sum((1, 2)),
        torch.cat([y, y], 1).chunk(4, 1)[2],
        F.pad(y, (1, 2)),
        y[:, :3] @ module.weight[:3],
    )


def resized(module, x):
    return F.interpolate(module(x), scale_factor=2, mode="bilinear"), F.max_pool2d(x, 3, 2, 1, ceil_mode=True)


def zeros(*shape):
    return torch.zeros(shape)


def ids(*shape):
    return torch.zeros(shape, dtype=torch.int64)


def conv_net():
    stem = [nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(
        *stem, Basic(16, 16), Basic(16, 32, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)
    )


def encoder(**options):
    return nn.TransformerEncoderLayer(32, 4, 64, **options)


CASES = {
    "mlp": lambda: (nn.Sequential(nn.Linear(20, 64), nn.SiLU(), nn.Linear(64, 10), nn.Softmax(-1)), zeros(7, 20)),
    "resnet": lambda: (conv_net(), zeros(2, 3, 64, 64)),
    "mobilenet": lambda: (
        nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), Inverted(8, 8, 4, 1), Inverted(8, 16, 6, 2), Inverted(16, 16, 6, 1)),
        zeros(1, 3, 32, 32),
    ),
    "lstm": lambda: (
        Called(nn.LSTM(20, 16, batch_first=True, num_layers=2, bidirectional=True), first), zeros(4, 12, 20),
    ),
    "lstm-sequence-first": lambda: (Called(nn.LSTM(20, 16, bias=False), first), zeros(12, 4, 20)),
    "lstm-projected": lambda: (
        Called(nn.LSTM(20, 16, 2, proj_size=8, batch_first=True), first), zeros(4, 12, 20),
    ),
    "lstm-without-batch": lambda: (Called(nn.LSTM(20, 16), first), zeros(12, 20)),
    "gru": lambda: (Called(nn.GRU(20, 16, batch_first=True, num_layers=2), first), zeros(4, 12, 20)),
    "rnn": lambda: (Called(nn.RNN(20, 16, batch_first=True), first), zeros(4, 12, 20)),
    "attention": lambda: (
        Called(nn.MultiheadAttention(32, 4, batch_first=True), attend(weights=False)), zeros(2, 10, 32),
    ),
    "attention-with-weights": lambda: (
        Called(nn.MultiheadAttention(32, 4, batch_first=True), attend(weights=True)), zeros(2, 10, 32),
    ),
    "encoder": lambda: (encoder(batch_first=True), zeros(2, 10, 32)),
    "encoder-sequence-first": lambda: (encoder(), zeros(10, 2, 32)),
    "encoders": lambda: (
        nn.TransformerEncoder(encoder(batch_first=True, activation="gelu"), 2, enable_nested_tensor=False),
        zeros(2, 10, 32),
    ),
    "decoder": lambda: (nn.TransformerDecoderLayer(32, 4, 64, batch_first=True), zeros(2, 7, 32), zeros(2, 10, 32)),
    "gpt": lambda: (Gpt(tied=False), ids(2, 16)),
    "gpt-tied": lambda: (Gpt(tied=True), ids(2, 16)),
    "grouped-query": lambda: (Called(nn.Linear(32, 48), grouped_query), zeros(2, 16, 32)),
    "embedding-norm": lambda: (nn.Sequential(nn.Embedding(50, 16), nn.LayerNorm(16), nn.Linear(16, 4)), ids(3, 5)),
    "grouped": lambda: (
        nn.Sequential(nn.Conv2d(8, 16, 3, groups=4, padding=1), nn.Conv2d(16, 16, 5, 2, dilation=2, groups=16)),
        zeros(2, 8, 24, 24),
    ),
    "transposed": lambda: (
        nn.Sequential(nn.ConvTranspose2d(8, 6, 3, 2, 1, output_padding=1, groups=2), nn.Flatten(2),
                      nn.Conv1d(6, 4, 3, dilation=2)), zeros(2, 8, 6, 6),
    ),
    "three-dimensions": lambda: (nn.Conv3d(3, 4, (1, 3, 3), padding=(0, 1, 1)), zeros(1, 3, 4, 8, 8)),
    "by-hand": lambda: (Called(nn.Linear(32, 16), by_hand), zeros(5, 32)),
    "resized": lambda: (
        Called(nn.Sequential(nn.Conv2d(3, 8, 3, padding="same"), nn.GroupNorm(2, 8), nn.PixelShuffle(2), nn.PReLU()),
               resized), zeros(1, 3, 10, 10),
    ),
    "norms": lambda: (
        nn.Sequential(nn.Linear(8, 8), nn.RMSNorm(8), nn.Dropout(0.5), nn.GLU(), nn.InstanceNorm1d(3)), zeros(2, 3, 8),
    ),
    "bf16": lambda: (
        nn.Sequential(nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1)).bfloat16(), zeros(2, 16).bfloat16(),
    ),
}  # fmt: skip


def counted(module, inputs):
    """FLOPs by PyTorch's counter, which sees no fused kernels: they are switched off."""
    plain = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)
    with plain, torch.backends.mkldnn.flags(enabled=False), flop_counter.FlopCounterMode(display=False) as counter:
        results = module(*inputs)
    return counter.get_total_flops(), results


@pytest.mark.parametrize("name", CASES)
def test_a_module_has_the_parameters_and_flops_that_pytorch_counts(name):
    module, *inputs = CASES[name]()
    flops, results = counted(module.eval(), inputs)
    graph = read_module(module, inputs, name)
    assert unknown(graph) == {}
    assert count(graph).parameters == sum(p.numel() for p in module.parameters())
    assert 2 * count(graph).macs == flops
    results = results if isinstance(results, tuple) else (results,)
    assert [graph.tensors[n].shape for n in graph.outputs] == [tuple(r.shape) for r in results]


def test_an_open_batch_has_the_size_of_the_example():
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 5)).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(module, (zeros(4, 3, 8, 8),), dynamic_shapes=({0: batch},))
    graph = read_exported(program)
    assert [graph.tensors[n].shape for n in graph.outputs] == [(4, 5)]
    assert count(graph).macs == 4 * count(read_module(module, [zeros(1, 3, 8, 8)])).macs
