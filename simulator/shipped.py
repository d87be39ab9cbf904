"""Files that come with the package, which commands and functions take by name: scenarios, plans and sweeps."""

from __future__ import annotations

from pathlib import Path

from simulator.errors import unknown_name

SCENARIOS = Path(__file__).with_name("scenarios")
PLANS = Path(__file__).with_name("planning") / "specs"
SWEEPS = Path(__file__).with_name("sweeping") / "specs"
WHAT = {SCENARIOS: "scenario", PLANS: "plan", SWEEPS: "sweep"}
SUFFIXES = (".yaml", ".yml")


def shipped(folder: Path) -> dict[str, Path]:
    """The files of one of the folders above by name: the path inside it without its ending."""
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.yaml"))}


def file_of(given: str | Path, folder: Path) -> Path:
    """A path as it is, or that of the file of this name that comes with the package.

    Raises `InputError` for a name that is neither.
    """
    if Path(given).exists() or Path(given).suffix in SUFFIXES:
        return Path(given)
    known = shipped(folder)
    if str(given) not in known:
        raise unknown_name(WHAT[folder], given, known, remedy="(nor is there such a file)")
    return known[str(given)]
