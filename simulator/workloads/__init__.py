"""What there is to do: operators, model graphs, requests. Nothing here knows a device or a policy."""
