"""Rewrites one behind the other: what does not go together is refused in a line, all else runs."""

import pytest

from simulator.errors import InputError
from simulator.inference import infer
from simulator.specs.inference import InferenceScenario


def timed(model, rewrites, **fields):
    given = [{"policy": name, "options": options} for name, options in rewrites]
    return infer(InferenceScenario(model=model, device="nvidia-a100-sxm-80gb", rewrites=given, **fields))


@pytest.mark.parametrize(
    ("model", "rewrites", "says"),
    [
        ("mobilenet-v2", [("fuse", {}), ("patch", {"grid": 2})], "give patch before fuse"),
        ("mobilenet-v2", [("train", {}), ("patch", {"grid": 2})], "before train"),
        ("mobilenet-v2", [("train", {}), ("lite-residual", {})], "before train"),
        ("mobilenet-v2", [("train", {"scheme": "biases"}), ("prune-channels", {"keep": 0.5})], "before train"),
        ("deit-tiny", [("merge-tokens", {"tokens": -5})], "at least 1"),
    ],
)
def test_orders_that_make_no_sense_are_refused(model, rewrites, says):
    with pytest.raises(InputError, match=says):
        timed(model, rewrites)


@pytest.mark.parametrize(
    ("model", "rewrites", "fields"),
    [
        ("mobilenet-v2", [("train", {"scheme": "last"})], {"runtime": "onnxruntime"}),
        ("deeplab-v3-mobilenet-v3", [("lite-residual", {})], {}),
        (
            "mobilenet-v2",
            [("block-channels", {"vector": 8})],
            {"runtime": "onnxruntime", "memory": {"order": {"policy": "least-memory"}}},
        ),
    ],
)
def test_kernels_take_as_long_together_as_the_pass(model, rewrites, fields):
    found = timed(model, rewrites, **fields)
    assert sum(found.summary["time_by_type_ms"].values()) == pytest.approx(found.seconds * 1e3)


def test_one_token_is_left_where_all_could_be_merged():
    few, all_of_them = (timed("deit-tiny", [("merge-tokens", {"tokens": n})]) for n in (8, 100_000))
    assert all_of_them.counts.macs < few.counts.macs
