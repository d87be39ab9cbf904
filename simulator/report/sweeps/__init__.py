"""Many points of one scenario."""
