"""Commands run on a pseudo-terminal, and what its screen shows: emulated by pyte."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyte

ROOT = Path(__file__).parents[2]
# Makes the terminal the process's own, so that Ctrl-C reaches it.
OWN = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


@dataclass(frozen=True)
class Shown:
    """What was on the screen, again and again while the command ran, and at its end; and its exit code."""

    screens: list[str]
    raw: str
    code: int

    @property
    def last(self) -> str:
        return self.screens[-1]


def on_terminal(
    arguments: Sequence[str],
    *,
    columns: int = 80,
    lines: int = 400,
    interrupt_at: str | None = None,
    environment: dict[str, str] | None = None,
    folder: Path = ROOT,
    seconds: float = 40.0,
) -> Shown:
    """Run `python -m simulator` on a terminal of so many cells; Ctrl-C is typed once the screen shows a text."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", OWN, "-m", "simulator", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=folder,
        env={**kept, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **(environment or {})},
        start_new_session=True,
    )
    screen = pyte.Screen(columns, lines)
    stream = pyte.ByteStream(screen)
    raw, screens, end = b"", [""], time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            ended = process.poll() is not None
            if not select.select([master], [], [], 0.1)[0]:
                if ended:
                    break
                continue
            data = os.read(master, 65536)
            raw += data
            stream.feed(data)
            screens.append("\n".join(line.rstrip() for line in screen.display).rstrip())
            if interrupt_at is not None and interrupt_at in screens[-1]:
                os.write(master, b"\x03")
                interrupt_at = None
        code = process.wait(timeout=0)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        os.close(master)
        os.close(slave)
    return Shown(screens, raw.decode(errors="replace"), code)
