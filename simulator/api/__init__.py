"""What Python users call: each function does what a command does and returns an `Outcome`, or a pandas frame."""
