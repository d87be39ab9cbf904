"""Layouts of training: which there are, what none of them can beat, and the quickest that fits."""
