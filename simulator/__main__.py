"""`python -m simulator` is the `simulator` command."""

import sys

from simulator.cli import main


def run() -> None:
    """Entry point of the console script."""
    sys.exit(main())


if __name__ == "__main__":
    run()
