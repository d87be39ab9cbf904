"""Operator graphs of any model: tensors with shapes, nodes with types, and what each node computes and moves."""
