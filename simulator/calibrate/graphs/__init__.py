"""Operator graphs run by a real runtime on this machine: single operators for fitting, whole models for judging."""
