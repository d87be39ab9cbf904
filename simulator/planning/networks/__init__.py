"""Search over networks: latency, memory and energy of many candidates at once on a device, and the best of them."""
