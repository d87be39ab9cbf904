"""What to rent, and which layout to train in."""
