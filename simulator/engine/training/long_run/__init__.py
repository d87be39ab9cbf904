"""Days of training by events: failures, checkpoints, restarts and repairs, never step by step."""
