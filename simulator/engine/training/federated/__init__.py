"""Federated training: clients with their own speeds and links, and a server that gathers their updates."""
