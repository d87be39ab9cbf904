"""The engine moves the clock: SimPy processes for arrivals, replicas and their iterations, and the recorder."""
