"""What is built holds every file of the package, and the package asks for few others."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def package_files() -> set[str]:
    found = (ROOT / "simulator").rglob("*")
    return {p.relative_to(ROOT).as_posix() for p in found if p.is_file() and "__pycache__" not in p.parts}


def test_wheel_holds_every_file_of_the_package_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = {n for n in wheel.namelist() if ".dist-info/" not in n}
    files = package_files()
    assert {".py", ".yaml", ".json", ".html", ".css"} <= {Path(name).suffix for name in files}
    assert names == files


def test_wheel_names_at_most_twelve_packages(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        metadata = email.message_from_bytes(wheel.read(next(n for n in wheel.namelist() if n.endswith("/METADATA"))))
    base = [need for need in metadata.get_all("Requires-Dist", []) if "extra ==" not in need]
    assert 1 <= len(base) <= 12, base
    assert {"dask", "dev", "docs", "observe", "onnx", "ray", "search", "torch"} <= set(
        metadata.get_all("Provides-Extra", [])
    )


def test_source_distribution_builds_what_the_tree_does(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert package_files() <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "mkdocs.yml", "docs/index.md"} <= names
    assert not {n for n in names if "__pycache__" in n or n.startswith("out/")}


def test_extras_are_in_order() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert list(extras) == sorted(extras)
    for name, needs in extras.items():
        packages = [re.split("[<>=~!;]", need)[0] for need in needs]
        assert packages == sorted(packages), name


def test_every_extra_is_documented() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    text = (ROOT / "docs" / "index.md").read_text()
    assert [
        name for name in extras if f"| `simulator[{name}]" not in text and f", `simulator[{name}]`" not in text
    ] == []
