"""How products and the collectives of tensor parallelism share a device: in turn, tile by tile, or by half-batches."""

from simulator.policies.tensor_overlap.half_batches import HalfBatches
from simulator.policies.tensor_overlap.program import Action, Compute, Put, TensorOverlap, Wait, reduces
from simulator.policies.tensor_overlap.serial import SERIAL, Serial
from simulator.policies.tensor_overlap.tiles import Tiles

__all__ = ["SERIAL", "Action", "Compute", "HalfBatches", "Put", "Serial", "TensorOverlap", "Tiles", "Wait", "reduces"]
