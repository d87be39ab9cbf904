"""Training at several sites over slow links: local steps, and exchanges that overlap with them."""
