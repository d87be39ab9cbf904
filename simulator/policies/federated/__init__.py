"""How a federated server gathers the updates of its clients."""

from simulator.policies.federated.serving import Asynchronous, Buffered, Polling, Server, Synchronous

__all__ = ["Asynchronous", "Buffered", "Polling", "Server", "Synchronous"]
