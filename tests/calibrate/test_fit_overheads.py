"""Fitting an engine's overheads finds those that made the rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from simulator.calibrate import fit_overheads as fitting
from simulator.calibrate.check_steady_state import mean_latencies, release_of, row_scenario
from simulator.cli import main
from simulator.errors import InputError
from simulator.hardware.overheads import StepOverheads, overheads

ROW: dict[str, Any] = {
    "device": "nvidia-h100-sxm-80gb",
    "backend": "vllm",
    "backend_version": "0.99.1rc2",
    "model_path": "meta-llama/Llama-3.2-1B",
    "osl": 12,
    "isl": 128,
    "concurrency": 2,
    "num_requests": 6,
    "tp_size": 1,
    "ttft_mean_ms": 1.0,
    "tpot_mean_ms": 1.0,
    "gemm_quant_mode": None,
    "moe_quant_mode": None,
}
TRUE = StepOverheads(2e-5, 1e-3, 0.0, 0.0, 1e-3, 1e-2, 0.5, 6e-5, engine="vllm")


def made_rows() -> list[dict[str, Any]]:
    rows = []
    for concurrency in (1, 2, 5, 12):
        for isl in (64, 2000):
            row = ROW | {"concurrency": concurrency, "isl": isl, "num_requests": 2 * concurrency}
            found = mean_latencies(row, TRUE)
            assert not isinstance(found, str)
            rows.append(row | {"ttft_mean_ms": found[0] * 1e3, "tpot_mean_ms": found[1] * 1e3})
    return rows


def test_a_fit_explains_the_rows_that_it_has_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fitting, "FEWEST", 8)
    pd.DataFrame(made_rows()).to_csv(tmp_path / "rows.csv", index=False)
    written = fitting.fit_overheads_file(tmp_path / "rows.csv", tmp_path / "out", jobs=1, say=print)
    assert [path.name for path in written] == ["vllm-0.99.yaml"]
    found = overheads(str(written[0]))
    assert found.engine == "vllm"
    assert found.ingestion + found.frontend == pytest.approx(TRUE.ingestion + TRUE.frontend, rel=0.3)
    ttft, tpot = (float(x.strip("%,")) for x in capsys.readouterr().out.split() if x.endswith(("%", "%,")))
    assert ttft < 10
    assert tpot < 10
    monkeypatch.setattr(fitting, "FEWEST", 100)
    with pytest.raises(InputError, match="no engine release has 100 rows"):
        fitting.fit_overheads_file(tmp_path / "rows.csv", tmp_path / "out", jobs=1)


def test_a_release_is_that_of_the_row() -> None:
    assert release_of(ROW) == "vllm-0.99"
    assert release_of(ROW | {"backend_version": None}) == "vllm"
    assert release_of(ROW | {"backend_version": None, "load_source": "inferencemax"}) == "vllm-0.10"
    assert row_scenario(ROW).engine == "vllm"
    assert row_scenario(ROW | {"backend_version": "0.12.0"}).engine == "vllm-0.12"


def test_the_command_takes_deployments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.csv").write_text("device,backend\nx,y\n", encoding="utf-8")
    assert main(["calibrate", "--from", str(tmp_path / "rows.csv"), "--out", str(tmp_path)]) == 2
    assert "column 'model_path' is missing" in capsys.readouterr().err
