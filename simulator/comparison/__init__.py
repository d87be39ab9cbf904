"""Comparison of scenarios on the same requests: paired differences, who wins, and how sure it is."""
