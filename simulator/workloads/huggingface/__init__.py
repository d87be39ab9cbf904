"""Hugging Face `config.json` to `Transformer`: one small reader a family of architectures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulator.errors import InputError, unknown_name
from simulator.workloads.huggingface.config import Config
from simulator.workloads.huggingface.gated import deepseek, gemma, gpt_oss, llama, llama4, mixture
from simulator.workloads.huggingface.plain import bloom, falcon, gpt2, gptj, neox, openelm, opt, phi, starcoder2
from simulator.workloads.transformer import Transformer

Json = dict[str, Any]


def transformer_from_config(config: object, *, name: str, file: str | None = None) -> Transformer:
    """The model that a Hugging Face config describes; of multimodal models the text part.

    Raises `InputError` for an architecture that is not supported and for fields that are missing or wrong.
    """
    if not isinstance(config, dict):
        raise InputError(f"a model config is a JSON object, not {type(config).__name__}", file=file)
    architecture = _architecture(config, file)
    text = config.get("text_config")
    if isinstance(text, dict):
        shared = {k: v for k, v in config.items() if k in ("torch_dtype", "dtype", "quantization_config")}
        config = shared | text
    reader = READERS[architecture]
    return reader(Config(config, file), name, architecture)


def _architecture(config: Json, file: str | None) -> str:
    listed = config.get("architectures")
    given = listed[0] if isinstance(listed, list) and listed else config.get("model_type")
    if not isinstance(given, str):
        raise InputError("the config names no architecture: add 'architectures' or 'model_type'", file=file)
    if given in READERS:
        return given
    by_type = {a.split("For")[0].lower().removesuffix("lmhead"): a for a in READERS}
    found = by_type.get(given.lower().replace("_", "").replace("-", ""))
    if found is None:
        raise InputError(
            f"{unknown_name('architecture', given, READERS).message}; supported are {', '.join(sorted(READERS))}",
            file=file,
        )
    return found


READERS: dict[str, Callable[[Config, str, str], Transformer]] = {
    "BloomForCausalLM": bloom,
    "DeepseekV2ForCausalLM": deepseek,
    "DeepseekV3ForCausalLM": deepseek,
    "FalconForCausalLM": falcon,
    "GPT2LMHeadModel": gpt2,
    "GPTJForCausalLM": gptj,
    "GPTNeoXForCausalLM": neox,
    "Gemma2ForCausalLM": gemma,
    "Gemma3ForCausalLM": gemma,
    "Gemma3ForConditionalGeneration": gemma,
    "GemmaForCausalLM": gemma,
    "GptOssForCausalLM": gpt_oss,
    "Llama4ForCausalLM": llama4,
    "Llama4ForConditionalGeneration": llama4,
    "LlamaForCausalLM": llama,
    "MistralForCausalLM": llama,
    "MixtralForCausalLM": mixture,
    "OPTForCausalLM": opt,
    "Phi3ForCausalLM": llama,
    "OpenELMForCausalLM": openelm,
    "PhiForCausalLM": phi,
    "Qwen2ForCausalLM": llama,
    "Qwen2MoeForCausalLM": mixture,
    "Qwen3ForCausalLM": llama,
    "Qwen3MoeForCausalLM": mixture,
    "Starcoder2ForCausalLM": starcoder2,
}
