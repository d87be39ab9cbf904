"""From the fields of a pipeline to the engine's network of stages."""
