"""A serving scenario as launch lines and manifests of real serving systems."""
