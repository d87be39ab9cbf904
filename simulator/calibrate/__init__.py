"""Measuring kernels, fitting the timing law to measurements, and checking predictions against them."""
