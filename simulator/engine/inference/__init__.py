"""Execution of operator graphs on one device."""
