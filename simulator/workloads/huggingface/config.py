"""A Hugging Face config read field by field, and what nearly every one has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulator.errors import InputError
from simulator.workloads.transformer import Layer, Transformer

Json = dict[str, Any]
MOST_LAYERS = 10_000
MAX_TOKENS = (
    "max_position_embeddings", "n_positions", "seq_length", "max_sequence_length", "max_context_length",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """A config read field by field; every complaint names the field, its value and what was expected."""

    values: Json
    file: str | None

    def whole(self, *names: str, default: int | None = None, least: int = 1, most: int = 10**9) -> int:
        """The whole number under the first of `names` that is there."""
        for name in names:
            value = self.values.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise self.wrong(name, f"a whole number from {least:,} to {most:,}")
            return value
        if default is None:
            raise InputError(f"the config lacks {names[0]!r}, a whole number", file=self.file)
        return default

    def flag(self, *names: str, default: bool = False) -> bool:
        """The true or false under the first of `names` that is there."""
        for name in names:
            value = self.values.get(name)
            if value is None:
                continue
            if not isinstance(value, bool):
                raise self.wrong(name, "true or false")
            return value
        return default

    def maybe(self, name: str) -> int | None:
        """A whole number, or None where the field is absent, null or zero."""
        return None if self.values.get(name) in (None, 0) else self.whole(name)

    def words(self, name: str, length: int) -> list[str] | None:
        """A list of `length` words, or None where the field is absent."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != length or not all(isinstance(v, str) for v in value):
            raise self.wrong(name, f"a list of {length} words")
        return value

    def numbers(self, name: str, length: int, *, most: float) -> list[float]:
        """A list of `length` positive numbers."""
        value = self.values.get(name)
        if (
            not isinstance(value, list)
            or len(value) != length
            or not all(type(v) in (int, float) and 0 < v <= most for v in value)
        ):
            raise self.wrong(name, f"a list of {length} numbers above 0 and at most {most:,g}")
        return value

    def wrong(self, name: str, expected: str) -> InputError:
        """A complaint about one field."""
        shown = repr(self.values.get(name))
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return InputError(f"config field {name!r} is {shown}: expected {expected}", file=self.file)


def stored_format(c: Config) -> str:
    """The format that the weights are stored in, of a quantised checkpoint that of its matrices."""
    quantised = c.values.get("quantization_config")
    if isinstance(quantised, dict):
        method = quantised.get("quant_method")
        if method == "fp8":
            return "fp8_block" if quantised.get("weight_block_size") else "fp8"
        if method == "mxfp4":
            return "mxfp4"
        if method in ("awq", "gptq"):
            return "int4"
    stored = c.values.get("torch_dtype", c.values.get("dtype"))
    return {"float16": "fp16", "float32": "fp32"}.get(str(stored), "bf16")


@dataclass(frozen=True, slots=True)
class Shape:
    """What nearly every config has."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int


def common_shape(c: Config, *, heads: str = "num_attention_heads", kv: str = "num_key_value_heads") -> Shape:
    """Width, layers and heads, the heads under the names given. Raises `InputError` where they do not fit."""
    hidden = c.whole("hidden_size", "n_embd", "d_model")
    layers = c.whole("num_hidden_layers", "n_layer", "num_layers", most=MOST_LAYERS)
    q = c.whole(heads, "n_head", "num_attention_heads", most=100_000)
    kv_heads = c.whole(kv, default=q, most=100_000)
    if q % kv_heads:
        raise c.wrong(kv, f"a divisor of the {q} attention heads")
    head_dim = c.maybe("head_dim")
    if head_dim is None:
        if hidden % q:
            raise InputError(
                f"config: hidden size {hidden} is no multiple of {q} heads and head_dim is absent", file=c.file
            )
        head_dim = hidden // q
    return Shape(hidden, layers, q, kv_heads, head_dim)


def transformer_of(
    c: Config,
    name: str,
    architecture: str,
    layers: list[Layer],
    *,
    tied: bool,
    positions: int = 0,
    norm_bias: bool = False,
    final_norm: bool = True,
    extra: int = 0,
) -> Transformer:
    """The model of these layers, and what else the config says of it."""
    return Transformer(
        name=name,
        architecture=architecture,
        hidden=c.whole("hidden_size", "n_embd", "d_model", "model_dim"),
        vocab=c.whole("vocab_size"),
        layers=tuple(layers),
        max_tokens=c.whole(*MAX_TOKENS, default=2048),
        tied_embedding=tied,
        learned_positions=positions,
        final_norm=final_norm,
        final_norm_bias=norm_bias,
        extra_parameters=extra,
        dtype=stored_format(c),
    )


def sliding_windows(c: Config, layers: int, *, default: Callable[[int], bool]) -> list[int | None]:
    """The sliding window of each layer: from `layer_types` if given, else for the layers that `default` picks."""
    window = c.maybe("sliding_window")
    kinds = c.words("layer_types", layers)
    if kinds is not None:
        return [window if kind == "sliding_attention" else None for kind in kinds]
    return [window if default(i) else None for i in range(layers)]
