"""Launch lines for a shell: one a replica and server, and one for the router before them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from simulator.deployment.accelerators import accelerator
from simulator.deployment.exported import one_line
from simulator.deployment.placing import Instance


@dataclass(frozen=True, slots=True)
class Command:
    """A command with the environment that it is given, on a server (by number)."""

    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    server: int = 0

    @property
    def line(self) -> str:
        """The command quoted for a shell, in one line."""
        given = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return " ".join([*given, shlex.join(self.words)])


def servers(instances: Iterable[Instance]) -> int:
    """How many servers the replicas take."""
    return 1 + max(server for instance in instances for server in instance.servers)


def address(server: int, count: int) -> str:
    """How a server is reached: by a name to be replaced, unless it is the only one."""
    return "127.0.0.1" if count == 1 else f"server-{server}"


def visible(instance: Instance) -> dict[str, str]:
    """The environment that shows a replica its devices; none for devices that have no such variable."""
    name = accelerator(instance.pool.scenario.device).visible
    return {name: ",".join(map(str, instance.devices))} if name else {}


# Who stops the script stops what it has started; a shell keeps Ctrl-C from what runs beside it.
STOP = ("started=", "trap 'kill $started 2>/dev/null; wait' INT TERM")
NOTED = 'started="$started $!"'


def script(comments: Iterable[str], commands: Sequence[Command], router: Command | None) -> str:
    """A shell script: with several servers, the part of that whose number is in SERVER, the router on the first."""
    count = 1 + max(command.server for command in commands)
    lines = ["#!/bin/sh", *(f"# {one_line(comment)}" for comment in comments)]
    if count > 1:
        lines.append(
            f"# Put the addresses in place of server-0 to server-{count - 1}, and run on each: SERVER=n sh FILE"
        )
    lines += STOP
    for server in range(count):
        own = [line for c in commands if c.server == server for line in (f"{c.line} &", NOTED)]
        if server == 0 and router is not None:
            own += ["# the router; it waits until the servers are there", f"{router.line} &", NOTED]
        lines += own if count == 1 else [f'if [ "${{SERVER:-0}}" = {server} ]; then', *own, "fi"]
    return "\n".join([*lines, "wait", ""])
