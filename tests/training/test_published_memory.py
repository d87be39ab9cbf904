"""Memory of the models of Korthikanti et al., "Reducing Activation Recomputation", arXiv:2205.05198.

Table 3 gives the models and their layouts; the formulas are those of its sections 4 and 5 and of its table 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from simulator.engine.training.memory import StageMemory, stage_memory
from simulator.engine.training.step import Step
from simulator.workloads.training.job import Layout
from tests.training.builders import job, step

VOCAB, SEQUENCE = 51200, 2048
Recompute = Literal["none", "selective", "full"]


@dataclass(frozen=True)
class Row:
    """A model of table 3."""

    parameters: float
    heads: int
    hidden: int
    layers: int
    tensor: int
    pipeline: int
    chunks: int
    micro: int
    batch: int

    def step(self, *, parallel: bool = False, recompute: Recompute = "none") -> Step:
        layout = Layout(self.tensor, self.pipeline, chunks=self.chunks, sequence_parallel=parallel)
        return step(
            job(
                layers=self.layers, hidden=self.hidden, heads=self.heads, sequence=SEQUENCE, vocab=VOCAB,
                micro=self.micro, batch=self.batch, layout=layout, fused_attention=False, dropout=recompute != "full",
                recompute=recompute,
            )
        )  # fmt: skip

    def first_stage(self, *, parallel: bool = False, recompute: Recompute = "none") -> StageMemory:
        return stage_memory(self.step(parallel=parallel, recompute=recompute), 0)

    def layer_bytes(self, *, parallel: bool, recompute: Recompute) -> float:
        """Table 2: activations that a layer keeps."""
        s, b, h, a, t = SEQUENCE, self.micro, self.hidden, self.heads, self.tensor
        if recompute == "full":
            return 2.0 * s * b * h / (t if parallel else 1)
        scores = 0.0 if recompute == "selective" else 5.0 * a * s / h
        return s * b * h * ((34.0 + scores) / t if parallel else 10.0 + (24.0 + scores) / t)

    def activations(self, *, parallel: bool, recompute: Recompute) -> float:
        """Section 4.2.3: layers of all stages on the first one, and 1 + (p - 1) / (p m) of them with m chunks a stage.

        Section 4.3: dropout after the embedding keeps sbh p / t bytes of masks; a single stage also has the final norm,
        the output layer and the logits. With full recomputation, where masks would not be few, there is no dropout.
        """
        s, b, h, t, p = SEQUENCE, self.micro, self.hidden, self.tensor, self.pipeline
        between = t if parallel else 1
        layers = self.layers * self.layer_bytes(parallel=parallel, recompute=recompute)
        masks = 0.0 if recompute == "full" else s * b * h * p / between
        if p == 1:
            return layers + masks + 4.0 * s * b * h / between + 4.0 * s * b * VOCAB / t
        interleaved = 1.0 if self.chunks == 1 else 1.0 + (p - 1) / (p * self.chunks)
        return layers * interleaved + masks

    def states(self) -> float:
        """16 bytes a parameter; those of one stage's layers (12 h^2 + 13 h each) and of the embedding."""
        h = self.hidden
        return 16.0 * (self.layers * (12 * h * h + 13 * h) / self.pipeline + (VOCAB + SEQUENCE) * h) / self.tensor


MODELS = {
    "22B": Row(22e9, 64, 6144, 48, 8, 1, 1, 4, 4),
    "175B": Row(175e9, 96, 12288, 96, 8, 8, 3, 1, 64),
    "530B": Row(530e9, 128, 20480, 105, 8, 35, 3, 1, 280),
    "1T": Row(1e12, 160, 25600, 128, 8, 64, 1, 1, 512),
}


@pytest.mark.parametrize("name", MODELS)
def test_parameters_gradients_and_optimizer_states(name: str) -> None:
    row = MODELS[name]
    found = row.step()
    assert found.parameters() == pytest.approx(row.parameters, rel=0.03)
    assert found.states(0).total == pytest.approx(row.states(), rel=0.01)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("parallel", "recompute"),
    [(False, "none"), (True, "none"), (False, "selective"), (True, "selective"), (False, "full")],
)
def test_activations_of_the_first_stage(name: str, parallel: bool, recompute: Recompute) -> None:
    row = MODELS[name]
    found = row.first_stage(parallel=parallel, recompute=recompute).activations
    assert found == pytest.approx(row.activations(parallel=parallel, recompute=recompute), rel=0.05)


@pytest.mark.parametrize("name", MODELS)
def test_both_techniques_leave_about_a_fifth(name: str) -> None:
    """Section 6.1: together they bring activations to under about 20 % of those with tensor parallelism alone."""
    row = MODELS[name]
    assert row.first_stage(parallel=True, recompute="selective").activations < 0.21 * row.first_stage().activations


@pytest.mark.parametrize(("name", "saved"), [("175B", 0.70), ("530B", 0.65)])
def test_selective_recomputation_saves_what_is_published(name: str, saved: float) -> None:
    """Section 5: it saves 70 % and 65 % of the activations of GPT-3 and MT-NLG."""
    plain, selective = (MODELS[name].first_stage(parallel=True, recompute=r) for r in ("none", "selective"))
    assert 1.0 - selective.activations / plain.activations == pytest.approx(saved, abs=0.01)
