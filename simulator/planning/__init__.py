"""Capacity planning: the cheapest deployments that meet latency objectives under a load, and what binds them."""
