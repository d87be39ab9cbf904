"""A supernet against the networks that it holds."""

from simulator.workloads.graphs.catalogue import family_model
from simulator.workloads.graphs.counting import count_model

BLOCKS = ((3, 1, 1), (5, 6, 1), (3, 3, 2))


def macs(*blocks):
    return count_model(family_model("supernet", "s", blocks=blocks, stages=[(16, 1, 1), (24, 3, 2)])).macs


def test_all_candidates_of_every_layer_are_computed():
    a, b, c = BLOCKS
    ends = macs(a) + macs(b) - macs(a, b)
    assert ends == macs(b) + macs(c) - macs(b, c)
    assert macs(*BLOCKS) - ends == sum(macs(block) - ends for block in BLOCKS)


def test_groups_halve_the_pointwise_products():
    stages = [(16, 1, 1)]
    full, halved = (count_model(family_model("supernet", "s", blocks=[(3, 6, g)], stages=stages)).macs for g in (1, 2))
    assert full - halved == 112 * 112 * (16 * 96 + 96 * 16) / 2
