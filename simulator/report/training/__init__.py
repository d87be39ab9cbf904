"""What a training step, a long run, rounds and federations did."""
