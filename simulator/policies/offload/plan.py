"""What a policy of offloading decides, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Tier = Literal["device", "host", "nvme"]
# Copies from and to pinned memory beside the passes; the same, for each of which the passes wait; copies through
# pageable memory, which one thread makes while the passes wait.
Copying = Literal["beside", "blocking", "pageable"]


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation of a layer that is computed again unless it is swapped: its bytes, and seconds to form it."""

    bytes: float
    seconds: float


@dataclass(frozen=True, slots=True)
class LayerSizes:
    """One layer as a policy sees it: bytes of its weights, of what it keeps in any case, and its other activations."""

    weights: float
    kept: float
    activations: tuple[Activation, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a step keeps what it does not compute with, and when it moves it.

    Weights, gradients (between passes and update), optimiser states, and activations (from forward to backward pass)
    live on a tier each. `slices`: every rank brings its slice of a layer's weights over its own link and all gather
    them; else their owner brings them whole and broadcasts. `swapped` gives of each layer the activations, by number,
    that are kept beside its input in place of being computed again (none given: no layer's).

    The update works on `subgroup` parameters at a time, "after" the last backward pass or with each "layer" as its
    gradients come. Of `stride` subgroups in turn the last is updated on the device (0: none). While one is updated,
    states of up to `staged` others are on their way.

    `prefetch` is how many layers are fetched ahead, and how many copies may be on their way out. `tiles` cuts each
    layer into so many parts in turn, whose weights alone are on the device.

    `copies` says how gradients leave and updated weights come back, `activation_copies` how activations do both.
    Gradients off the device are in fp32 if `full_gradients`, and an update of `rescaled` ones first multiplies them by
    a factor in a pass of its own.
    """

    weights: Tier = "device"
    gradients: Tier = "device"
    states: Tier = "device"
    activations: Tier = "device"
    slices: bool = True
    swapped: tuple[frozenset[int], ...] = ()
    update: Literal["after", "layer"] = "after"
    subgroup: float = 1e9
    stride: int = 0
    staged: int = 2
    prefetch: int = 2
    tiles: int = 1
    copies: Copying = "beside"
    activation_copies: Copying = "beside"
    full_gradients: bool = False
    rescaled: bool = False


class LayerOffload(Protocol):
    """Plans the offloading of a step's layers; of several plans the fastest that fits is run.

    `moves` is "layers".
    """

    moves: Literal["layers"]

    def plans(self, layers: Sequence[LayerSizes]) -> Sequence[Plan]:
        """Plans to choose from, at least one."""
        ...
