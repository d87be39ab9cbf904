"""Sets of flows over shared links: what collectives send, and when it has arrived."""
