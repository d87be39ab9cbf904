"""Sweeps: many points of one scenario, each simulated once, side by side, and all of them in one table."""

from simulator.sweeping.run import Swept, sweep

__all__ = ["Swept", "sweep"]
