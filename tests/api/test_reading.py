"""What may be handed over as a scenario, and what is refused in one line."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import simulator
from tests.api.scenarios import KINDS, PLAN, SERVING, TRAINING


@pytest.mark.parametrize("kind", KINDS)
def test_path_mapping_and_object_give_the_same(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "given.yaml"
    path.write_text(yaml.safe_dump(KINDS[kind]))
    before = copy.deepcopy(KINDS[kind])
    from simulator.api.reading import read_scenario

    by_path, by_mapping = read_scenario(path), read_scenario(KINDS[kind])
    assert by_path == by_mapping == read_scenario(by_path)
    renamed = [read_scenario(given, {"name": "else"}) for given in (path, KINDS[kind], by_path)]
    assert renamed[0] == renamed[1] == renamed[2] != by_path
    assert KINDS[kind] == before


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("arrival_s,prompt_tokens,output_tokens\n0,20,2\n")
    path = tmp_path / "given.yaml"
    path.write_text(yaml.safe_dump(SERVING | {"load": {"trace": "trace.csv"}}))
    assert simulator.run(path).summary["requests.finished"] == 1


def test_what_comes_with_the_package_goes_by_its_name() -> None:
    path = Path(simulator.__file__).parent / "scenarios" / "training" / "mlp.yaml"
    assert (
        simulator.train("training/mlp").figures == simulator.run(path).figures == simulator.run("training/mlp").figures
    )
    assert simulator.run("training/mlp").name == simulator.run(path).name


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: simulator.run(SERVING, settings={"max_seqs": 3}), "unknown setting 'max_seqs': did you mean"),
        (lambda: simulator.run(SERVING | {"devise": 1}), "unknown field 'devise': did you mean device"),
        (lambda: simulator.run({"kind": "servings"}), "kind is 'servings'"),
        (lambda: simulator.run("nowhere.yaml"), "nowhere.yaml: cannot read the file"),
        (lambda: simulator.run("training/mlq"), "unknown scenario 'training/mlq': did you mean training/mlp"),
        (lambda: simulator.plan("azure-70"), "did you mean azure-70b"),
        (lambda: simulator.run(SERVING, settings="replicas=2"), "settings is no mapping"),
        (lambda: simulator.run(SERVING, settings=3), "settings is no mapping"),
        (lambda: simulator.replay("no.csv", model=SERVING["model"], device=SERVING["device"]), "no.csv: cannot read"),
        (lambda: simulator.run(3), "int is no scenario: give a path"),
        (lambda: simulator.train(SERVING | {"kind": "serving"}), "unknown kind of training 'serving'"),
        (lambda: simulator.plan(PLAN, jobs=0), "jobs is 0"),
        (lambda: simulator.plan({**PLAN, "devices": []}), "devices"),
        (lambda: simulator.compare([SERVING]), "two scenarios or more"),
        (lambda: simulator.compare("a.yaml"), "list of two scenarios"),
        (lambda: simulator.compare([SERVING, TRAINING]), "cannot stand beside serving"),
        (lambda: simulator.explain(model="meta-llama/Llama-3.1-8B", device="nvidia-l4-24gb"), "nothing to explain"),
        (simulator.explain, "model and device"),
        (lambda: simulator.explain(SERVING), "explain takes scenarios of kind inference, not serving"),
        (lambda: simulator.validate("kernel", "x.parquet"), "did you mean kernels"),
        (lambda: simulator.catalogue("device driver"), "unknown kind"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_line(call: object, words: str) -> None:
    with pytest.raises(simulator.InputError, match=words) as caught:
        call()  # type: ignore[operator]
    assert "\n" not in str(caught.value)


def test_catalogues_hold_numbers() -> None:
    devices = simulator.devices()
    assert devices.loc["nvidia-h100-sxm-80gb", "memory_gb"] == pytest.approx(80, rel=0.1)
    assert devices.loc["nvidia-h100-sxm-80gb", "bandwidth_gb_per_s"] == pytest.approx(3350, rel=0.02)
    assert simulator.models().loc["meta-llama/Llama-3.1-8B", "parameters"] == 8_030_261_248
    assert {"batching", "router"} <= set(simulator.catalogue("policies").kind)
    assert "serving/distserve" in simulator.catalogue("scenarios").index


def test_explained_shares_are_those_of_one_iteration() -> None:
    parts = simulator.explain(model="meta-llama/Llama-3.1-8B", device="nvidia-l4-24gb", decode_sequences=16)
    assert parts.share.sum() == pytest.approx(1.0)
    assert (parts.seconds / parts.seconds.sum()).tolist() == pytest.approx(parts.share.tolist())


def test_validation_gives_groups_and_all_together(tmp_path: Path) -> None:
    from simulator.calibrate.check_graphs import check_graphs

    file = Path(__file__).parents[2] / "benchmarks" / "published" / "vision_gpus.csv"
    rows = [line for i, line in enumerate(file.read_text().splitlines()) if i < 4]
    (tmp_path / "few.csv").write_text("\n".join(rows) + "\n")
    found = simulator.validate("graphs", tmp_path / "few.csv")
    summary = check_graphs(tmp_path / "few.csv").summary()
    assert found.n.iloc[-1] == summary["rows"] == found.n.iloc[:-1].sum()
    assert found.mape.iloc[-1] == summary["overall"]["mape"]
    assert found.attrs["skipped"] == summary["skipped"]


def test_the_package_loads_nothing_heavy() -> None:
    heavy = "{'numpy', 'pandas', 'matplotlib', 'pydantic', 'simulator.kinds'}"
    code = f"import sys, simulator; dir(simulator); print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_public_name_is_there_and_typed() -> None:
    for name in simulator.__all__:
        assert getattr(simulator, name) is not None
    assert (Path(simulator.__file__).parent / "py.typed").exists()
