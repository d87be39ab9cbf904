"""Decisions in a pipeline of stages: where an item goes next, which one a full queue drops, which model to run."""
