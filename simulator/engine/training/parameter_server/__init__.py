"""Workers that push gradients to a server and pull weights, its links and its updates being shared by all."""
