"""From a scenario's `prompt_model` to what a deployment computes prompts with."""

from __future__ import annotations

from simulator.engine.deployment import native_precision
from simulator.engine.prompt_pass import PromptModel
from simulator.errors import refuse_beside
from simulator.scenario import Scenario
from simulator.workloads.kv_maps import KVMaps, spread
from simulator.workloads.models import model


def prompt_model_of(scenario: Scenario) -> PromptModel | None:
    """The auxiliary model, None where the scenario's own computes prompts.

    Raises `InputError` for an unknown model, layers that do not fit, and beside what cannot be combined with it.
    """
    spec = scenario.prompt_model
    if spec is None:
        return None
    _refuse_beside(scenario)
    whole, auxiliary, formats = model(scenario.model), model(spec.model), scenario.precision
    sources = spec.layers or spread(len(whole.layers), len(auxiliary.layers))
    maps = KVMaps(whole, auxiliary, sources)
    maps.check()
    activations = native_precision(whole, activations=formats.activations).activations.name
    return PromptModel(maps, native_precision(auxiliary, spec.weights, activations, formats.kv_cache or activations))


def _refuse_beside(scenario: Scenario) -> None:
    others = {
        "speculation": scenario.speculation.policy != "none",
        "disaggregation": scenario.disaggregation is not None,
        "attention_offload": scenario.attention_offload is not None,
        "feed_forward": scenario.feed_forward is not None,
        "finetuning": scenario.finetuning is not None,
        "execution": scenario.execution.policy != "sequential",
        "kv_cache.tiers": bool(scenario.kv_cache.tiers),
        "kv_cache.keep_share": scenario.kv_cache.keep_share is not None,
        "shared_prefix_tokens": scenario.shared_prefix_tokens > 0,
        "parallel.pipeline above 1": scenario.parallel.pipeline > 1,
    }
    refuse_beside("prompt_model", others)
