"""One process, two processes, a Dask cluster and a Ray cluster of two workers each give the same file."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.errors import InputError
from simulator.sweeping import backends, sweep
from simulator.sweeping.backends import outcomes

SPEC: dict[str, Any] = {
    "scenario": "serving/chunked-prefill-8b",
    "fixed": {"load.limit": 40},
    "vary": {
        "max_num_seqs": [4, 64],
        "replicas": [1, 2, 0],
        "model": ["meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-405B"],
        "load.speed_up": {"from": 0.5, "to": 8, "log": True},
    },
    "sampling": {"method": "latin-hypercube", "points": 24, "seed": 5},
}


def needs(module: str, extra: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"{module} is not installed: pip install 'simulator[{extra}]'")


def written(folder: Path, **how: Any) -> bytes:
    found = sweep(SPEC, out=folder, **how)
    assert 0 < found.summary["failed"] < 24
    return (folder / "results.parquet").read_bytes()


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return written(tmp_path_factory.mktemp("serial"), workers=1)


def where() -> str:
    return str(os.getpid())


def test_two_processes(tmp_path: Path, serial: bytes) -> None:
    assert written(tmp_path, workers=2) == serial


@needs("distributed", "dask")
def test_a_dask_cluster_of_two_processes(tmp_path: Path, serial: bytes) -> None:
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        address = cluster.scheduler_address
        assert written(tmp_path, backend="dask", cluster=address) == serial
        workers = client.run(os.getpid).values()
        used = {int(each) for each in outcomes([(where, ())] * 40, backend="dask", workers=-1, cluster=address)}
        assert used <= set(workers) and os.getpid() not in used


@needs("distributed", "dask")
def test_a_dask_cluster_is_started_and_stopped() -> None:
    used = {int(each) for each in outcomes([(where, ())] * 20, backend="dask", workers=2, cluster=None)}
    assert 1 <= len(used) <= 2 and os.getpid() not in used
    assert not any(Path(f"/proc/{worker}").exists() for worker in used)


@needs("distributed", "dask")
def test_no_dask_scheduler_at_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "ANSWER_S", 0.5)
    with pytest.raises(InputError, match=r"no Dask scheduler answers at --cluster tcp://127\.0\.0\.1:1"):
        sweep(SPEC, backend="dask", cluster="tcp://127.0.0.1:1")


@needs("ray", "ray")
@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:here"])
def test_no_ray_cluster_at_the_address(address: str) -> None:
    import ray

    assert not ray.is_initialized()
    with pytest.raises(InputError, match=f"no Ray cluster answers at --cluster {address}"):
        sweep(SPEC, backend="ray", cluster=address)


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A Ray of two workers on this machine."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


@needs("ray", "ray")
def test_a_ray_cluster_of_two_processes(tmp_path: Path, serial: bytes, ray: Any) -> None:
    assert written(tmp_path, backend="ray") == serial
    used = {int(each) for each in outcomes([(where, ())] * 40, backend="ray", workers=-1, cluster=None)}
    assert 1 <= len(used) <= 4 and os.getpid() not in used
    assert ray.is_initialized()


@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_a_backend_that_is_not_installed(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"pip install 'simulator\[{backend}\]'"):
        sweep(SPEC, backend=backend)


def test_a_worker_that_is_killed_is_one_line() -> None:
    with pytest.raises(InputError, match="a worker process was killed"):
        list(outcomes([(_die, ())] * 2, backend="local", workers=2, cluster=None))


def _die() -> str:
    os.kill(os.getpid(), 9)
    return ""
