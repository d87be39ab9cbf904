"""What operator graphs, searches over networks and pipelines did."""
