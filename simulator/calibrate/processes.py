"""All-reduces between processes of this machine: through shared memory with NumPy, or by PyTorch's own backends."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterable
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np

from simulator.calibrate.suite import Case

REPEATS, WARM_UP = 21, 3
PATIENCE_SECONDS = 60.0


def timed_all_reduces(cases: Iterable[Case], *, library: str, device: str = "cpu") -> list[tuple[float, float, int]]:
    """Median seconds, noise and repeats of each case; all have the same `world_size`.

    The slowest rank of a call counts.
    """
    listed = list(cases)
    world = listed[0]["world_size"]
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        sizes = [case["message_bytes"] for case in listed]
        memory = SharedMemory(create=True, size=(world + 1) * max(sizes)) if library == "numpy" else None
        if memory is not None:
            work: Callable[..., None] = _numpy_rank
            arguments: tuple[Any, ...] = (sizes, memory.name, context.Barrier(world, timeout=PATIENCE_SECONDS))
        else:
            work, arguments = _torch_rank, (sizes, str(Path(folder) / "meeting"), device)
        ranks = [context.Process(target=work, args=(r, world, *arguments, answers)) for r in range(world)]
        try:
            for rank in ranks:
                rank.start()
            times = np.array([answers.get(timeout=PATIENCE_SECONDS) for _ in ranks]).max(axis=0)
        finally:
            for rank in ranks:
                rank.join(timeout=1.0)
                rank.terminate()
            if memory is not None:
                memory.close()
                memory.unlink()
    low, middle, high = np.quantile(times, [0.25, 0.5, 0.75], axis=1)
    return [(float(m), float((h - x) / m), REPEATS) for x, m, h in zip(low, middle, high, strict=True)]


def _numpy_rank(rank: int, world: int, sizes: list[int], name: str, barrier: Any, answers: Any) -> None:
    """Each rank sums its share of everybody's numbers, then copies the other shares: what a ring moves, in one go."""
    memory = SharedMemory(name=name)
    found = []
    for size in sizes:
        count = size // 4
        buffers = [np.ndarray(count, np.float32, memory.buf, offset=r * max(sizes)) for r in range(world + 1)]
        buffers[rank][:] = rank + 1.0
        own = slice(rank * count // world, (rank + 1) * count // world)
        total, mine = buffers[world], np.empty(count, np.float32)
        taken = []
        for _ in range(WARM_UP + REPEATS):
            barrier.wait()
            started = time.perf_counter()
            np.add(buffers[0][own], buffers[1][own], out=total[own])
            for other in range(2, world):
                np.add(total[own], buffers[other][own], out=total[own])
            barrier.wait()
            np.copyto(mine, total)
            taken.append(time.perf_counter() - started)
        assert mine[0] == mine[-1] == world * (world + 1) / 2
        found.append(taken[WARM_UP:])
        del buffers, total
    answers.put(found)
    memory.close()


def _torch_rank(rank: int, world: int, sizes: list[int], meeting: str, device: str, answers: Any) -> None:
    import torch
    import torch.distributed as dist

    dist.init_process_group(
        "nccl" if device == "cuda" else "gloo", init_method=f"file://{meeting}", rank=rank, world_size=world
    )
    if device == "cuda":
        torch.cuda.set_device(rank)
    found = []
    for size in sizes:
        numbers = torch.ones(size // 4, device=device)
        taken = []
        for _ in range(WARM_UP + REPEATS):
            dist.barrier()
            started = time.perf_counter()
            dist.all_reduce(numbers)
            if device == "cuda":
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - started)
            numbers.fill_(1.0)
        found.append(taken[WARM_UP:])
    answers.put(found)
    dist.destroy_process_group()
