"""Where a run's iterations stand under the roof of one device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.engine.recorder import Floats
from simulator.report.live import name_marks
from simulator.report.serving.usage import peak_flops, pool_rows, work
from simulator.report.svg import INK, PALETTE, decades, drawing, svg

if TYPE_CHECKING:
    from simulator.experiment import Result


def roofline(result: Result) -> str:
    """Iterations with and without prompt tokens under the roof of one device."""
    figure, axes = drawing()
    device = result.deployment.device
    peak, bandwidth = peak_flops(result.deployment), device.memory_bandwidth
    alike = [(pool.deployment, rows) for pool, rows in pool_rows(result) if pool.deployment.device.id == device.id]
    done = [work(rows, d) for d, rows in alike]
    flops, moved = (np.concatenate([pair[i] for pair in done]) for i in (0, 1))
    seconds = np.concatenate([(rows["end_s"] - rows["start_s"]) * d.parallel.pipeline for d, rows in alike])
    prompt_tokens, sequences = (
        np.concatenate([rows[name] for _, rows in alike]) for name in ("prefill_tokens", "decode_sequences")
    )
    fine = (flops > 0) & (moved > 0) & (seconds > 0)
    intensity, rate = flops[fine] / moved[fine], flops[fine] / seconds[fine]
    prompts, weight = prompt_tokens[fine] > 0, seconds[fine]
    for mask, label, colour in ((~prompts, "decode only", PALETTE[0]), (prompts, "with prompt tokens", PALETTE[1])):
        batch = prompt_tokens[fine][mask], sequences[fine][mask]
        (x, y, new, decoding), size = _clusters(intensity[mask], rate[mask], weight[mask], batch)
        if len(x):
            marks = axes.scatter(
                x, y / 1e12, s=8 + 160 * size / size.max(), color=colour, alpha=0.55, linewidths=0, label=label
            )
            shares = size / weight.sum()
            name_marks(marks, [_batch(*one) for one in zip(new, decoding, shares, strict=True)])
    ridge = peak / bandwidth
    low = min(float(intensity.min()), ridge) / 3 if len(intensity) else ridge / 100
    x = np.array([low, ridge, ridge * 30])
    axes.plot(x, np.minimum(x * bandwidth, peak) / 1e12, color=INK, linewidth=1.2)
    axes.annotate(f"{peak / 1e12:,.0f} TFLOP/s", (ridge * 1.3, peak / 1e12), color=INK, fontsize=8, va="bottom")
    axes.annotate(
        f"{bandwidth / 1e12:,.2f} TB/s",
        ((middle := (low * ridge) ** 0.5), middle * bandwidth / 1e12),
        color=INK,
        fontsize=8,
        va="bottom",
        ha="right",
        xytext=(-4, 2),
        textcoords="offset points",
    )
    decades(axes)
    decades(axes, "y")
    axes.set(xlabel="FLOP a byte moved", ylabel="TFLOP/s of one device")
    return svg(figure, axes, location="lower right")


def _batch(prompt_tokens: float, sequences: float, share: float) -> str:
    """What the iterations of a mark hold on average, and how much of the busy time they take."""
    parts = [f"{prompt_tokens:,.0f} prompt tokens"] if prompt_tokens else []
    parts += [f"{sequences:,.0f} decoding sequences"] if sequences else []
    return f"{' and '.join(parts)}, {share:.1%} of the busy time"


def _clusters(
    x: Floats, y: Floats, weight: Floats, also: Sequence[Floats], cells: int = 24
) -> tuple[list[Floats], Floats]:
    """At most cells squared points: the weighted means of x, y and `also` in each cell of a logarithmic grid.

    With them the weight of each.
    """
    if not len(x):
        return [x, y, *also], weight

    def cell(values: Floats) -> NDArray[np.int64]:
        logs = np.log(values)
        span = max(float(logs.max() - logs.min()), 1e-9)
        return np.asarray(np.minimum((logs - logs.min()) / span * cells, cells - 1), dtype=np.int64)

    index = cell(x) * cells + cell(y)
    total = np.bincount(index, weight, cells * cells).astype(np.float64)
    used = total > 0
    means = [np.bincount(index, values * weight, cells * cells)[used] / total[used] for values in (x, y, *also)]
    return means, total[used]
