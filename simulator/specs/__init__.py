"""The parts of a scenario as pydantic models, one file a concern."""
