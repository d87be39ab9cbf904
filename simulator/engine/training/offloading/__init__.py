"""Steps whose weights, gradients, states or activations leave the device: transfers beside the passes of each layer."""
