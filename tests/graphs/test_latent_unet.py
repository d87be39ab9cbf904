"""What options of a denoising network with skips do to its weights and work."""

from simulator.workloads.graphs.catalogue import family_model
from simulator.workloads.graphs.counting import count_model

SMALL = {
    "widths": [64, 128], "depths": [0, 1], "latent": 16, "text_width": 32, "heads": None, "head_width": 32,
    "linear_projection": True,
}  # fmt: skip
LAYERS = 2 + 1 + 3  # down, middle, up


def counted(**options):
    return count_model(family_model("latent_unet", "u", **{**SMALL, **options}))


def test_heads_that_share_keys_have_weights_for_one():
    width, head, text = 128, 32, 32
    saved = counted().parameters - counted(kv_heads=1).parameters
    assert saved == LAYERS * 2 * (width - head) * (width + text)


def test_without_attention_to_itself_four_matrices_a_norm_and_all_pairs_go():
    width, tokens = 128, 8 * 8
    whole, text = counted(), counted(alone=[False, False])
    assert whole.parameters - text.parameters == LAYERS * (4 * width**2 + width + 2 * width)
    assert whole.macs - text.macs == LAYERS * (4 * tokens * width**2 + 2 * tokens**2 * width)


def test_narrower_products_lose_three_matrices_a_step():
    width = 128
    assert counted().parameters - counted(hidden=3).parameters == LAYERS * (3 * width**2 + 2 * width)


def test_separable_windows_touch_each_channel_alone():
    """A block of two windows, c to c: 2 * 9 c^2 weights become 9 c + e c^2 before and 9 e c + e c^2 after."""
    c = 64
    more = {"blocks": 2, "widths": [c], "depths": [0], "middle_depth": 0}
    less = {**more, "blocks": 1}

    def block(separable):
        """One more block on the way down, and one on the way up that reads twice the channels."""
        return counted(**more, separable=separable).parameters - counted(**less, separable=separable).parameters

    e, time = 2, 4 * c
    norms = 2 * (c + c) + 2 * (2 * c + c)
    shortcut = 2 * c * c + c
    told = 2 * (time * c + c)
    biases = 4 * c
    assert block(0) == 9 * c * c * (2 + 3) + norms + shortcut + told + biases
    inner = e * c
    windows = sum(9 * r + r + r * inner + inner + 9 * inner + inner + inner * c + c for r in (c, 2 * c))
    wider = 2 * (time * inner + inner) + 2 * (c + inner) + 2 * (2 * c + inner)
    assert block(e) == windows + wider + shortcut
