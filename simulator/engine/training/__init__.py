"""A training step on simulated devices: passes through the pipeline, gradients, the optimiser."""
