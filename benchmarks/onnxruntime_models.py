"""Time built-in models in ONNX Runtime on this machine's processor, as a file for `simulator validate graphs`."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from simulator.calibrate.graphs.models import MODELS, measure_models
from simulator.calibrate.graphs.sessions import runtime_package
from simulator.calibrate.microbench import cpu_name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="CSV file to write")
    parser.add_argument("--device", required=True, help="device by which predictions are to be made")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each model and number of threads")
    parser.add_argument("--rounds", type=int, default=8, help="turns that these are spread over")
    parser.add_argument("--models", nargs="*", help="only these")
    given = parser.parse_args()
    listed = [m for m in MODELS if not given.models or m.model in given.models]
    rows = measure_models(
        listed, given.device, threads=given.threads, seconds=given.seconds, rounds=given.rounds, say=print
    )
    rows.assign(
        date=datetime.now(UTC).date().isoformat(), cpu=cpu_name(), version=runtime_package().__version__
    ).to_csv(given.file, index=False)


if __name__ == "__main__":
    main()
