"""Hugging Face `config.json` to `Transformer`: one small reader a family of architectures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from simulator.errors import InputError
from simulator.workloads.huggingface import gated, mixtures, plain
from simulator.workloads.huggingface.fields import Fields, shown
from simulator.workloads.transformer import Transformer

Reader = Callable[[Fields, str, str], Transformer]

READERS: Final[dict[str, Reader]] = {
    "BloomForCausalLM": plain.bloom,
    "Cohere2ForCausalLM": gated.cohere,
    "CohereForCausalLM": gated.cohere,
    "DbrxForCausalLM": mixtures.dbrx,
    "DeepseekV2ForCausalLM": mixtures.deepseek,
    "DeepseekV3ForCausalLM": mixtures.deepseek,
    "FalconForCausalLM": plain.falcon,
    "GPT2LMHeadModel": plain.gpt2,
    "GPTBigCodeForCausalLM": plain.gpt2,
    "GPTJForCausalLM": plain.gptj,
    "GPTNeoXForCausalLM": plain.gpt_neox,
    "Gemma2ForCausalLM": gated.gemma,
    "Gemma3ForCausalLM": gated.gemma,
    "Gemma3ForConditionalGeneration": gated.gemma,
    "GemmaForCausalLM": gated.gemma,
    "Glm4ForCausalLM": gated.glm,
    "Glm4MoeForCausalLM": mixtures.glm_moe,
    "GlmForCausalLM": gated.glm,
    "GptOssForCausalLM": mixtures.gpt_oss,
    "GraniteForCausalLM": gated.llama,
    "InternLM2ForCausalLM": gated.llama,
    "Llama4ForCausalLM": mixtures.llama4,
    "Llama4ForConditionalGeneration": mixtures.llama4,
    "LlamaForCausalLM": gated.llama,
    "MPTForCausalLM": plain.mpt,
    "MiniCPMForCausalLM": gated.llama,
    "MistralForCausalLM": gated.llama,
    "MixtralForCausalLM": mixtures.mixtral,
    "OPTForCausalLM": plain.opt,
    "Olmo2ForCausalLM": gated.olmo2,
    "Olmo3ForCausalLM": gated.olmo2,
    "OlmoeForCausalLM": mixtures.mixtral,
    "Phi3ForCausalLM": gated.llama,
    "PhiForCausalLM": plain.phi,
    "PhiMoEForCausalLM": mixtures.mixtral,
    "Qwen2ForCausalLM": gated.qwen,
    "Qwen2MoeForCausalLM": mixtures.qwen_moe,
    "Qwen3ForCausalLM": gated.qwen,
    "Qwen3MoeForCausalLM": mixtures.qwen_moe,
    "Starcoder2ForCausalLM": plain.starcoder2,
}

_SUFFIXES = ("forcausallm", "forconditionalgeneration", "lmheadmodel")
# Fields of a multimodal config that hold for its text part too.
_OUTER = ("torch_dtype", "dtype", "quantization_config", "tie_word_embeddings")


def transformer_from_config(config: object, *, name: str, file: str | None = None) -> Transformer:
    """The model that a Hugging Face config describes; of a multimodal model the text part.

    `file` is named in complaints. Raises `InputError` for an architecture without a reader and for fields
    that are missing or wrong.
    """
    if not isinstance(config, dict):
        raise InputError(f"a model config is a JSON object, not {shown(config)}", file=file)
    outer = Fields(config, file)
    text = outer.inner("text_config")
    architecture = _architecture(outer, text)
    fields = outer if text is None else _text_part(outer, text)
    return READERS[architecture](fields, name, architecture)


def _text_part(outer: Fields, text: Fields) -> Fields:
    inherited = {key: outer.values[key] for key in _OUTER if key in outer.values}
    return Fields(inherited | text.values, outer.file, text.prefix)


def _architecture(outer: Fields, text: Fields | None) -> str:
    """The key of `READERS`: by the config itself or, for a multimodal wrapper, by its text part."""
    given = _stated(outer)
    inner = _stated(text) if text is not None else None
    found = _reader_name(given) or _reader_name(inner)
    if found is not None:
        return found
    if given is None:
        raise outer.missing(["architectures", "model_type"], "which name the architecture")
    raise InputError(
        f"architecture {shown(inner or given)} is not supported: expected one of {', '.join(sorted(READERS))}",
        file=outer.file,
    )


def _stated(c: Fields) -> str | None:
    listed = c.values.get("architectures")
    if listed is None or listed == []:
        return c.word("model_type")
    if not isinstance(listed, list) or not isinstance(listed[0], str):
        raise c.wrong("architectures", "a list of names")
    return listed[0]


def _reader_name(given: str | None) -> str | None:
    """The reader of an architecture or a model type, whatever its case: "LlamaForCausalLM", "gpt_neox"."""
    if given is None:
        return None
    if given in READERS:
        return given
    return _BY_TYPE.get(_bare(given))


def _bare(name: str) -> str:
    """An architecture's or model type's name without case, separators and the kind of its head."""
    text = name.lower().replace("_", "").replace("-", "").removesuffix("text")
    return next((text.removesuffix(s) for s in _SUFFIXES if text.endswith(s)), text)


# Causal models come last, so that their plain model type means them.
_BY_TYPE = {_bare(name): name for name in sorted(READERS, key=lambda n: not n.endswith("ConditionalGeneration"))}
