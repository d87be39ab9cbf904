"""What writes the drafts, as plain descriptions; `simulator.engine.drafter` gives them time and memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftModel:
    """Another model by name or path, with a KV cache of its own, on the target's devices or on its own `device`.

    `tensor` is its tensor-parallel degree (0: the target's where it divides the heads). `layer_parallel` runs that
    many consecutive layers at once on different devices and corrects the cache by one exact pass (EasySpec,
    arXiv:2502.02493). `cache_tokens` bounds its cache to the first and last tokens (StreamingLLM,
    arXiv:2309.17453; TriForce's drafter).
    """

    model: str
    tensor: int = 0
    layer_parallel: int = 1
    weights: str | None = None
    cache_tokens: int | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        for name, least in (("tensor", 0), ("layer_parallel", 1), ("cache_tokens", 1)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or not least <= value <= 1 << 30):
                raise ValueError(f"{name} is {value!r}: give a whole number of at least {least}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionHead:
    """Multi-token prediction: one more decoder layer over the target's last hidden state, and the target's own head.

    Deeper tokens come from running the layer again, as engines do (DeepSeek-V3, arXiv:2412.19437, section 2.2;
    EAGLE, arXiv:2401.15077, has the same shape).
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyExit:
    """Self-speculation: the first `layers` layers of the target and its head, sharing weights and cache with it.

    With `reuse`, verification goes on from the exit layer's states instead of computing them again (LayerSkip,
    arXiv:2404.16710; M2R2, arXiv:2502.02040).
    """

    layers: int
    reuse: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.layers, int) or self.layers < 1:
            raise ValueError(f"layers is {self.layers!r}: give a whole number of at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class NGram:
    """Looks the draft up in the text so far (prompt lookup), which takes no time on the devices."""


DraftSource = DraftModel | PredictionHead | EarlyExit | NGram
