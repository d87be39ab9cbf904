"""What stages do: one kind of service a module."""
