"""`python -m simulator` is the `simulator` command."""

import signal
import sys
from types import FrameType

from simulator.cli import main


def run() -> None:
    """Entry point of the console script."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(main())


def _terminate(number: int, _: FrameType | None) -> None:
    """Leave as after an error, so that what is half-written is taken away."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    run()
