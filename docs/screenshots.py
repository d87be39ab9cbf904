"""Take the pictures of reports in docs/images: `python docs/screenshots.py [NAME ...]`, all without names.

Needs chromium and playwright (`pip install -e .[dev]`). Each command runs as a user would give it, in a folder of its
own that is removed afterwards.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from simulator.cli import main as simulator

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SCENARIOS = ROOT / "simulator" / "scenarios"
MODELS = SCENARIOS / "models"
MEASURED = ROOT / "benchmarks" / "published"
DESK, PHONE = (1100, 900), (390, 844)
COLOURS = 96


class Shot(NamedTuple):
    """A picture: its name, the command that writes the page (`--out` is added), the viewport, and the colour scheme."""

    name: str
    command: Sequence[str]
    viewport: tuple[int, int] = DESK
    scheme: str = "light"


# Scenarios that no file of the package holds.
FILES = {
    "rounds.yaml": """kind: rounds
name: 64 workers, of whom 4 may be late
workers: 64
rounds: 400
work: {batch_s: 8}
rule: {policy: backup-workers, options: {workers: 4}}
slowdowns: [{kind: jitter, mean: 0.3}]
"""
}
REPLAY = ["run", str(SCENARIOS / "serving" / "azure-conversation-70b.yaml")]
PUBLISHED = (
    "edge/tinytl",
    "edge/mcunet-v2-patches",
    "edge/tiny-training-engine",
    "hardware/l-mul",
    "hardware/flightllm",
    "hardware/fusemax",
    "hardware/fusemax-end-to-end",
    "hardware/sn40l-switching-h100",
    "hardware/sn40l-switching-a100",
)
STEP = SCENARIOS / "training" / "gpt-1t.yaml"
SHOTS = [
    Shot("report", REPLAY),
    Shot("report-phone", REPLAY, PHONE, "dark"),
    Shot(
        "compare",
        ["compare", *(str(SCENARIOS / "serving" / f"{n}-8b.yaml") for n in ("chunked-prefill", "prefill-first"))],
    ),
    Shot("cascade", ["run", str(SCENARIOS / "cascade" / "edge-cloud.yaml")]),
    Shot("plan", ["plan", str(ROOT / "simulator" / "planning" / "specs" / "chat-8b-available.yaml")]),
    Shot("train", ["train", str(STEP)]),
    Shot("train-phone", ["train", str(STEP)], PHONE, "dark"),
    Shot("train-compare", ["compare", str(STEP), str(SCENARIOS / "training" / "mixtral-8x7b.yaml")]),
    Shot("train-plan", ["plan", str(ROOT / "simulator" / "planning" / "specs" / "gpt-13b-a100-v100.yaml")]),
    Shot("long-run", ["train", str(SCENARIOS / "training" / "month-16384.yaml")]),
    Shot("federated", ["train", str(SCENARIOS / "training" / "federated-buffered.yaml")]),
    Shot("rounds", ["train", "rounds.yaml"]),
    Shot("inference", ["run", str(MODELS / "whisper-small-m2-pro-cpu.yaml")]),
    Shot("network-search", ["run", str(MODELS / "mobilenet-v2-space.yaml")]),
    Shot("pipeline", ["run", str(SCENARIOS / "pipelines" / "video-analytics.yaml")]),
    Shot("figure-compare", ["compare", str(MODELS / "resnet-50-a100.yaml"), str(MODELS / "yolo11n-t4.yaml")]),
    Shot("validate", ["validate", "graphs", str(MEASURED / "vision_gpus.csv"), "--by", "device", "--by", "runtime"]),
    Shot("validate-published", ["validate", "scenarios", *PUBLISHED]),
    Shot("sweep", ["sweep", str(ROOT / "simulator" / "sweeping" / "specs" / "serving-limits.yaml")], DESK, "dark"),
]


def main(names: Sequence[str]) -> None:
    """Take the pictures of these names, all without."""
    from playwright.sync_api import sync_playwright

    unknown = set(names) - {shot.name for shot in SHOTS}
    if unknown:
        raise SystemExit(f"no picture {', '.join(sorted(unknown))}: there are {', '.join(s.name for s in SHOTS)}")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        for name, text in FILES.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        os.chdir(folder)
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for shot in SHOTS:
            if not names or shot.name in names:
                page = written(shot, Path(folder) / shot.name)
                size = save(taken(browser, page, shot), IMAGES / f"{shot.name}.png")
                print(f"{shot.name}.png {size / 1e3:,.0f} kB")
        browser.close()


def written(shot: Shot, out: Path) -> Path:
    """Run the command; the page that it wrote."""
    if simulator([*shot.command, "--out", str(out)]):
        raise SystemExit(f"{shot.name}: simulator {' '.join(shot.command)} failed")
    return out / "report.html"


def taken(browser: Any, page: Path, shot: Shot) -> bytes:
    """What a browser shows of the page without scrolling, as PNG."""
    width, height = shot.viewport
    context = browser.new_context(offline=True, viewport={"width": width, "height": height}, color_scheme=shot.scheme)
    opened = context.new_page()
    opened.goto(page.as_uri())
    opened.wait_for_function("document.documentElement.dataset.ready === 'true'")
    picture: bytes = opened.screenshot()
    context.close()
    return picture


def save(picture: bytes, path: Path) -> int:
    """Write the picture in few colours; its size in bytes."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").quantize(COLOURS).save(path, optimize=True)
    return path.stat().st_size


if __name__ == "__main__":
    main(sys.argv[1:])
