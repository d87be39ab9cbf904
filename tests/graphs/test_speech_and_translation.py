"""Counts of networks for speech and translation against sums written out by hand."""

import pytest

from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.counting import count, count_model


def lstm(inner: int, hidden: int) -> int:
    """Weights of four gates and both their terms."""
    return 4 * hidden * (inner + hidden) + 8 * hidden


def dense(inner: int, out: int) -> int:
    return inner * out + out


def test_fast_full_sub_net_has_the_layers_of_its_authors_code():
    encoder = lstm(64, 384) + lstm(384, 257) + dense(257, 64)
    bands = lstm(11 + 1, 384) + lstm(384, 384) + dense(384, 1)
    decoder = lstm(64 + 64, 512) + lstm(512, 512) + dense(512, 2 * 257)
    assert count_model(graph_model("fast-full-sub-net")).parameters == 257 * 64 + encoder + bands + decoder


def test_skipping_memories_run_once_a_chunk():
    """Halving the chunk doubles the work of the memories, two of them between each pair of layers, and no other."""
    options = {"separator": "skipping", "causal": True, "seconds": 10.0}
    large, small = (count_model(graph_model("dprnn-tasnet", chunk=c, **options)).macs for c in (500, 250))
    frames, hidden = 79_999, 128
    chunks = [-(-frames // size) for size in (500, 250)]
    memory = 2 * 5 * (8 * hidden * hidden + hidden * hidden)
    # the last chunk is filled up: its frames are computed too
    layer = 6 * (4 * hidden * (64 + hidden) + hidden * 64)
    filled = (chunks[1] * 250 - chunks[0] * 500) * layer
    assert small - large == pytest.approx(memory * (chunks[1] - chunks[0]) + filled)


def test_all_words_at_once_differ_from_steps_in_attention_alone():
    """A step looks at half of the words before it and at its own, a pass at all of them; products are the same."""
    words, layers, width = 30, 6, 512
    steps, together = (count_model(graph_model("transformer-base", words=words, **o)).macs for o in ({}, {"passes": 1}))
    pairs = words * words - words * (words // 2 + 1)
    assert together - steps == pytest.approx(layers * pairs * 2 * width)
    assert count_model(graph_model("transformer-base", words=words, passes=3)).macs > 2 * together


def test_re_translation_starts_anew_with_each_word():
    """Of 29 words the mean prefix has 15, so that there are as many steps as in the sum of all prefixes."""
    once, anew = graph_model("transformer-base", words=29), graph_model("transformer-base", words=29, updates=29)
    assert [part.times for part in once.parts] == [1, 29]
    assert [part.times for part in anew.parts] == [29, sum(range(1, 30))]


def test_a_factorised_table_of_words_has_two_factors():
    whole, factors = (count_model(graph_model("transformer-base", **o)).parameters for o in ({}, {"embedding": 128}))
    assert whole - factors == 37000 * 512 - (37000 * 128 + 2 * 128 * 512)


def test_cached_frames_are_looked_at_and_not_computed_again():
    """Scores, sums of values, and products with places, of which there are as many more as there are cached frames."""
    whole, cached = (graph_model("fastconformer-l", seconds=1.6, cached=c).parts[0].graph for c in (0.0, 4.8))
    tokens, past, width, depth = 20, 60, 512, 17
    more = depth * (3 * tokens * past * width + past * width * width)
    assert count(cached).macs - count(whole).macs == pytest.approx(more)


def test_bandwidth_extension_has_the_weights_of_its_authors_code():
    block = 512 * 7 + 512 + 2 * 512 + dense(512, 1536) + dense(1536, 512) + 512
    ends = 2 * (513 * 512 * 7 + 512 + 2 * 512) + 2 * 2 * 512 + dense(512, 513) + dense(512, 2 * 513)
    assert count_model(graph_model("ap-bwe")).parameters == 16 * block + ends
