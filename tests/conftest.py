"""Settings of all tests."""

from hypothesis import settings

# Machines are shared: how long an example takes says nothing of the code.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")
