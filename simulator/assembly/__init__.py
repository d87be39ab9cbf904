"""From the fields of a scenario to what the engine is built from."""
