"""Where the activations of a graph are in memory: order of nodes, sharing of buffers, offsets in an arena."""
