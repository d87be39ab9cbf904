"""Recording what a real OpenAI-compatible server does under a given load."""
