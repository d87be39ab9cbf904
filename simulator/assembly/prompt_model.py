"""From a scenario's `prompt_model` to what a deployment computes prompts with."""

from __future__ import annotations

from simulator.engine.deployment import native_precision
from simulator.engine.prompt_pass import PromptModel
from simulator.scenario import Scenario
from simulator.specs.combining import refuse_together
from simulator.workloads.kv_maps import KVMaps, spread
from simulator.workloads.models import model


def prompt_model_of(scenario: Scenario) -> PromptModel | None:
    """The auxiliary model, None where the scenario's own computes prompts.

    Raises `InputError` for an unknown model, layers that do not fit, and beside what cannot be combined with it.
    """
    spec = scenario.prompt_model
    if spec is None:
        return None
    refuse_together(
        "prompt_model", scenario, "speculation", "disaggregation", "attention_offload", "feed_forward", "finetuning",
        "execution", "kv_cache.tiers", "kv_cache.keep_share", "shared_prefix_tokens", "parallel.pipeline above 1",
    )  # fmt: skip
    whole, auxiliary, formats = model(scenario.model), model(spec.model), scenario.precision
    sources = spec.layers or spread(len(whole.layers), len(auxiliary.layers))
    maps = KVMaps(whole, auxiliary, sources)
    maps.check()
    activations = native_precision(whole, activations=formats.activations).activations.name
    return PromptModel(maps, native_precision(auxiliary, spec.weights, activations, formats.kv_cache or activations))
