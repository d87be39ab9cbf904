"""Every notebook runs from a clean checkout without a warning, and ends with an answer that it computed itself."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# What `pip install simulator jupyterlab` brings: no notebook may ask for more.
INSTALLED = {"IPython", "matplotlib", "numpy", "pandas", "scipy", "simulator", "yaml"}
SECONDS_A_CELL = 300  # generous, since other tests run beside; a notebook takes less than a tenth of it

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@each_notebook
def test_is_stored_without_outputs(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    for cell in code(notebook):
        assert cell.outputs == [] and cell.execution_count is None and not cell.metadata


@each_notebook
def test_begins_with_a_question(path: Path) -> None:
    first = read(path).cells[0]
    title = first.source.splitlines()[0]
    assert first.cell_type == "markdown" and title.startswith("# ") and "?" in first.source


@each_notebook
def test_needs_nothing_that_is_not_installed(path: Path) -> None:
    modules = {name.partition(".")[0] for cell in code(read(path)) for name in imported(cell.source)}
    assert "simulator" in modules
    assert modules <= INSTALLED | sys.stdlib_module_names


@each_notebook
def test_runs_and_answers(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executed = execute(read(path), tmp_path, monkeypatch)
    for cell in code(executed):
        for output in cell.outputs:
            assert not (output.output_type == "stream" and output.name == "stderr"), output.text
            assert "Warning:" not in output.get("text", "")
    assert any("image/png" in output.get("data", {}) for cell in code(executed) for output in cell.outputs)
    last = code(executed)[-1].outputs[-1]
    answer = last.data["text/markdown"]
    assert "answer" in answer.lower() and re.search(r"\d", answer)
    assert not re.search(r"\b(nan|inf|None)\b", answer)
    assert answer not in path.read_text(encoding="utf-8")


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def imported(source: str) -> list[str]:
    """Modules that a cell imports by their whole names; cells are plain Python without magics, or this fails."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module or "")
    return found


def execute(notebook: NotebookNode, folder: Path, monkeypatch: pytest.MonkeyPatch) -> NotebookNode:
    """Run in an empty folder beside the repository's traces, as in a checkout; nothing is written outside `folder`."""
    home = folder / "notebooks"
    home.mkdir()
    (folder / "traces").symlink_to(ROOT / "traces", target_is_directory=True)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(folder / name.lower()))
    client = NotebookClient(
        notebook, timeout=SECONDS_A_CELL, kernel_name="python3", resources={"metadata": {"path": str(home)}}
    )
    return client.execute()
