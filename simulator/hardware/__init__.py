"""Devices, links, nodes and the timing law: how long an operator takes where."""
