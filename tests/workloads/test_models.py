"""Models from their configs: parameter counts against the published ones, names, and damaged configs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.workloads.graph import spans
from simulator.workloads.huggingface import transformer_from_config
from simulator.workloads.models import model, model_facts, model_names
from simulator.workloads.span import Span
from simulator.workloads.transformer import Experts

PRECISE = [n for n in model_names() if model_facts(n)["published_precise"]]
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}


def test_enough_models_are_checked() -> None:
    assert len(model_names()) >= 75
    assert len(PRECISE) >= 60


@pytest.mark.parametrize("name", PRECISE)
def test_parameters_equal_the_published_count(name: str) -> None:
    assert model(name).parameters() == pytest.approx(model_facts(name)["published_parameters"], rel=0.005)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("meta-llama/Llama-3.1-8B", 8_030_261_248),
        ("mistralai/Mistral-7B-v0.1", 7_241_732_096),
        ("mistralai/Mixtral-8x7B-v0.1", 46_702_792_704),
        ("Qwen/Qwen2.5-7B", 7_615_616_512),
        ("google/gemma-2-27b", 27_227_128_320),
        ("deepseek-ai/DeepSeek-V3", 671_026_419_200),
        ("facebook/opt-350m", 331_196_416),
        ("openai-community/gpt2", 124_439_808),
    ],
)
def test_known_counts_to_the_last_weight(name: str, count: int) -> None:
    assert model(name).parameters() == count


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("deepseek-ai/DeepSeek-V3", 37.0),
        ("mistralai/Mixtral-8x7B", 12.9),
        ("Qwen/Qwen3-235B-A22B", 22.0),
        ("meta-llama/Llama-4-Scout-17B-16E", 17.0),
        ("deepseek-ai/DeepSeek-V2", 21.0),
    ],
)
def test_active_parameters_are_those_of_the_model_cards(name: str, billions: float) -> None:
    assert model(name).active_parameters() / 1e9 == pytest.approx(billions, rel=0.02)


def test_gpt_oss_active_parameters_leave_the_embedding_out() -> None:
    """The model card (arXiv:2508.10925, table 1) counts 5.13 B active, without the embedding."""
    m = model("openai/gpt-oss-120b")
    assert (m.active_parameters() - m.embedding_parameters()) / 1e9 == pytest.approx(5.13, rel=0.005)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("meta-llama/Llama-3.1-70B-Instruct", "meta-llama/Llama-3.1-70B"),
        ("META-LLAMA/meta-llama-3-8b", "meta-llama/Llama-3-8B"),
        ("nvidia/DeepSeek-R1-NVFP4", "deepseek-ai/DeepSeek-V3"),
        ("Qwen/Qwen3-235B-A22B-FP8", "Qwen/Qwen3-235B-A22B"),
        ("RedHatAI/Llama-4-Scout-17B-16E-Instruct-FP8-dynamic", "meta-llama/Llama-4-Scout-17B-16E"),
        ("mistralai/Mistral-Nemo-Instruct-2407", "mistralai/Mistral-Nemo-Base-2407"),
        ("codellama/CodeLlama-34b-Instruct-hf", "codellama/CodeLlama-34b"),
        ("llama-3.1-8b", "meta-llama/Llama-3.1-8B"),
    ],
)
def test_other_names_of_the_same_shape(alias: str, name: str) -> None:
    assert model(alias).name == name


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("nvidia/DeepSeek-R1-NVFP4", "nvfp4"),
        ("RedHatAI/Llama-4-Scout-17B-16E-Instruct-FP8-dynamic", "fp8_dynamic"),
        ("deepseek-ai/DeepSeek-V3", "fp8_block"),
        ("openai/gpt-oss-20b", "mxfp4"),
        ("meta-llama/Llama-3.1-8B", "bf16"),
    ],
)
def test_format_of_the_checkpoint(name: str, stored: str) -> None:
    assert model(name).dtype == stored


def test_attention_spans() -> None:
    assert spans(model("meta-llama/Llama-3.1-8B")) == (Span(),)
    assert spans(model("mistralai/Mistral-7B-v0.1")) == (Span(4096),)
    assert spans(model("google/gemma-2-9b")) == (Span(), Span(4096))
    assert spans(model("meta-llama/Llama-4-Scout-17B-16E")) == (Span(), Span(8192, True))
    oss = model("openai/gpt-oss-120b")
    assert [layer.attention.window for layer in oss.layers[:4]] == [128, None, 128, None]
    assert [layer.attention.window for layer in model("google/gemma-3-12b-pt").layers[4:7]] == [1024, None, 1024]


def test_deepseek_begins_dense() -> None:
    kinds = [isinstance(layer.ffn, Experts) for layer in model("deepseek-ai/DeepSeek-V3").layers]
    assert kinds == [False] * 3 + [True] * 58


def test_any_config_by_path(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert model(str(tmp_path)).parameters() == model(str(tmp_path / "config.json")).parameters() == 8_030_261_248


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": None}, "lacks 'hidden_size'"),
        ({"hidden_size": "4096"}, "'hidden_size' is '4096': expected a whole number"),
        ({"hidden_size": True}, "'hidden_size' is True"),
        ({"hidden_size": 4096.5}, "'hidden_size' is 4096.5"),
        ({"num_hidden_layers": 0}, "'num_hidden_layers' is 0: expected a whole number from 1 to 10,000"),
        ({"num_hidden_layers": -3}, "'num_hidden_layers' is -3"),
        ({"vocab_size": float("nan")}, "'vocab_size' is nan"),
        ({"num_key_value_heads": 5}, "'num_key_value_heads' is 5: expected a divisor of the 32 attention heads"),
        ({"hidden_size": 4097}, "hidden size 4097 is no multiple of 32 heads"),
        ({"intermediate_size": 10**12}, "'intermediate_size' is 1000000000000"),
        ({"tie_word_embeddings": "yes"}, "'tie_word_embeddings' is 'yes': expected true or false"),
        ({"architectures": ["MambaForCausalLM"]}, "unknown architecture 'MambaForCausalLM'"),
        ({"architectures": None}, "names no architecture"),
        ({"architectures": ["MixtralForCausalLM"], "num_local_experts": 2, "num_experts_per_tok": 4}, "from 1 to 2"),
        ({"layer_types": ["full_attention"]}, "expected a list of 32 words"),
    ],
)
def test_wrong_configs_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        transformer_from_config({**LLAMA, **change}, name="x", file="config.json")
    assert message in str(caught.value)
    assert str(caught.value).startswith("config.json: ")
    assert "\n" not in str(caught.value)


def test_unknown_architecture_lists_the_supported_ones() -> None:
    with pytest.raises(InputError, match=r"supported are BloomForCausalLM, .*Starcoder2ForCausalLM"):
        transformer_from_config({"model_type": "mamba"}, name="x")


def test_unknown_model_gives_the_nearest() -> None:
    with pytest.raises(InputError, match=r"did you mean .*Llama-3.1-70B.*config.json"):
        model("meta-llama/Llama-3.1-71B")


@pytest.mark.parametrize("text", ["", "[1, 2", "[]", '"llama"', "{" * 100_000])
def test_files_that_are_no_config(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"config.json: "):
        model(str(path))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    architecture=st.sampled_from(
        ["LlamaForCausalLM", "DeepseekV3ForCausalLM", "GptOssForCausalLM", "FalconForCausalLM"]
    ),
    changes=st.dictionaries(st.sampled_from([*LLAMA, "head_dim", "layer_types", "quantization_config"]), JSON),
)
@settings(max_examples=200, deadline=None)
def test_arbitrary_json_is_read_or_refused(architecture: str, changes: dict[str, Any]) -> None:
    try:
        found = transformer_from_config({**LLAMA, "architectures": [architecture], **changes}, name="x")
    except InputError as error:
        complaint = str(error)
    else:
        complaint = ""
        assert found.parameters() > 0
    assert "\n" not in complaint


@pytest.mark.parametrize(
    ("name", "found", "dtype"),
    [
        ("llama3-8b", "meta-llama/Llama-3-8B", "bf16"),
        ("NousResearch/Llama-2-7b-hf", "meta-llama/Llama-2-7b", "fp16"),
        ("unsloth/Meta-Llama-3.1-8B-bnb-4bit", "meta-llama/Llama-3.1-8B", "int4"),
        ("RedHatAI/Qwen2.5-72B-Instruct-quantized.w8a8", "Qwen/Qwen2.5-72B", "int8"),
        ("mistralai/Mistral-7B-Instruct-v0.2", "mistralai/Mistral-7B-v0.2", "bf16"),
    ],
)
def test_names_that_people_use(name: str, found: str, dtype: str) -> None:
    assert (model(name).name, model(name).dtype) == (found, dtype)


def test_a_name_that_fits_two_models_is_refused() -> None:
    with pytest.raises(InputError, match="ambiguous model 'mistral-7b': it could be"):
        model("mistral-7b")
