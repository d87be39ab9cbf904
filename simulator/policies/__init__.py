"""Policies decide: batching, KV cache, routing. They know no formula for time and no SimPy."""
