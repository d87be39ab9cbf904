"""The engine that really computes: its arithmetic, its pages, and that the simulator's own processes drive it."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.calibrate import check_engine as checks
from simulator.calibrate.engine import Decoder, RealTimer
from simulator.workloads.models import model
from simulator.workloads.transformer import Attention, FeedForward, Layer, Transformer

MODEL = Transformer("small", "S", 32, 50, (Layer(Attention(2, 2, 16, 16), FeedForward(64)),) * 2, 128)


def decoder() -> Decoder:
    return Decoder(MODEL, blocks=12, block_tokens=4)


def test_a_prompt_in_chunks_is_the_prompt_at_once() -> None:
    tokens = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]
    table = np.array([7, 2, 5])
    whole = decoder().step(tokens, [(table, 0, 10)])
    parts = decoder()
    parts.step(tokens[:6], [(table, 0, 6)])
    assert parts.step(tokens[6:], [(table, 6, 4)]) == whole
    single = decoder()
    for i, token in enumerate(tokens):
        last = single.step([token], [(table, i, 1)])
    assert last == whole


def test_sequences_of_one_batch_do_not_mix() -> None:
    first, second = [3, 1, 4, 1, 5], [9, 2, 6]
    tables = np.array([0, 1]), np.array([2])
    alone = [decoder().step(t, [(table, 0, len(t))])[0] for t, table in zip((first, second), tables, strict=True)]
    together = decoder().step(first + second, [(tables[0], 0, 5), (tables[1], 0, 3)])
    assert together.tolist() == alone


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 50}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    monkeypatch.setattr(checks, "CONFIG", checks.CONFIG | sizes | heads)


@pytest.mark.usefixtures("_small")
def test_a_load_is_served_whole_and_all_pages_come_back(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    import json
    from pathlib import Path

    folder = Path(str(tmp_path))
    (folder / "config.json").write_text(json.dumps(checks.CONFIG))
    timers: list[RealTimer] = []

    class Kept(RealTimer):
        def __post_init__(self) -> None:
            super().__post_init__()
            timers.append(self)

    monkeypatch.setattr(checks, "RealTimer", Kept)
    scenario = checks.engine_scenario(folder, "unused.yaml", 12)
    decoder = Decoder(model(scenario.model), blocks=checks.BLOCKS, block_tokens=checks.BLOCK_TOKENS)
    found = checks.serve(scenario, decoder)
    assert len(found.ttft) == 12
    assert (found.ttft > 0).all()
    assert (found.e2e >= found.ttft).all()
    (timer,) = timers
    timer._release(set())
    assert sorted(timer._free) == list(range(checks.BLOCKS))
    assert timer.iterations >= 40
