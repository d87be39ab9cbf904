"""Metrics, tables, files, figures and pages made from a result."""
