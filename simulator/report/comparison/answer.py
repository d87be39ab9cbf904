"""What a reader takes from the page of a comparison first: who wins, by how much, how sure, and why."""

from __future__ import annotations

from simulator.comparison.compare import Against, Comparison
from simulator.comparison.metrics import REQUEST_METRICS, RUN_FIGURES
from simulator.comparison.verdict import Difference
from simulator.report.comparison.words import listed
from simulator.report.sections import Answer, KeyFigure
from simulator.report.serving.answer import amount, warnings
from simulator.uncertainty import LEVEL

# The figures that decide, by metric and statistic, or by the path of a run's figure. Throughput decides only where
# clients wait for answers: arrivals set it else.
DECIDING = (
    ("ttft", "p99"),
    ("tpot", "p99"),
    ("e2e", "mean"),
    ("goodput", "mean"),
    ("throughput", "output_tokens_per_s"),
    ("cost", "usd_per_million_output_tokens"),
    ("energy", "j_per_output_token"),
)
WORDS = {
    "queue": "in the queue",
    "prefill": "until its first token",
    "stalled": "held up by prompts of others",
    "mixed": "decoding beside prompts",
    "decode": "decoding alone",
}
# Phases that change by less than this share of the largest change are not said to matter.
MATTERS = 0.05


def comparison_answer(comparison: Comparison) -> Answer:
    """The head of the page: of two scenarios their differences, of more which is best at what."""
    two, load = len(comparison.against) == 1, comparison.contenders[0].scenario.load
    found = [
        _change(comparison.against[0].differences[key], key) if two else _best(comparison, key)
        for key in DECIDING
        if (key[0] != "throughput" or load.concurrency is not None)
        and all(key in a.differences for a in comparison.against)
    ]
    sentences = [sentence for i in range(len(comparison.against)) for sentence in _sentences(comparison, i)]
    warned = [
        f"{label}: {text}"
        for label, result in zip(comparison.labels, comparison.results, strict=True)
        for text in warnings(result.summary)
    ]
    return Answer(found, sentences, warned)


def _naming(key: tuple[str, str]) -> tuple[str, str, float]:
    """Name, unit and scale of a figure."""
    for metric in REQUEST_METRICS:
        if metric.name == key[0] and key[1] in metric.statistics:
            many = len(metric.statistics) > 1
            statistic = f"{key[1].upper() if key[1] != 'mean' else 'Mean'} " if many else ""
            return _capital(f"{statistic}{metric.label}"), metric.unit, metric.scale
    figure = next(f for f in RUN_FIGURES if f.path == key)
    return _capital(figure.label), figure.unit, figure.scale


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _change(d: Difference, key: tuple[str, str]) -> KeyFigure:
    """How much a figure changes, and between which values."""
    name, unit, scale = _naming(key)
    values = f"{amount(d.baseline * scale)} → {amount(d.scenario * scale)} {unit}"
    if d.outcome == "same":
        return KeyFigure(name, "no change", between=f"{amount(d.baseline * scale)} {unit}")
    doubt = {"noise": "; noise", "model error": "; within the model's error", "too few": "; too few to tell"}
    low, high = d.sampling or (None, None)
    interval = "" if low is None or high is None else f"; {LEVEL:.0%}: {low * scale:+,.3g} to {high * scale:+,.3g}"
    between = f"{values}{interval}{doubt.get(d.outcome, '')}"
    if unit.startswith("%"):
        return KeyFigure(name, f"{d.value * scale:+.2g}", "points", between)
    if d.relative is None:
        return KeyFigure(name, f"{d.value * scale:+,.3g}", unit, between)
    return KeyFigure(name, f"{d.relative:+.1%}", between=between)


def _best(comparison: Comparison, key: tuple[str, str]) -> KeyFigure:
    """The best of all scenarios at a figure, and which it is."""
    name, unit, scale = _naming(key)
    first = comparison.against[0].differences[key]
    values = [first.baseline, *(a.differences[key].scenario for a in comparison.against)]
    best = min(values) if first.better == "lower" else max(values)
    holders = [label for label, value in zip(comparison.labels, values, strict=True) if value == best]
    who = "all alike" if len(holders) == len(values) else ", ".join(holders)
    return KeyFigure(
        f"Best {name[0].lower() + name[1:] if name[1:2].islower() else name}", amount(best * scale), unit, who
    )


def _sentences(comparison: Comparison, i: int) -> list[str]:
    against = comparison.against[i]
    return [_verdict(against, comparison.labels[0]), *_why(comparison, i + 1)]


def _verdict(against: Against, baseline: str) -> str:
    """In what a scenario is better or worse than the baseline, beyond noise and the model's own error."""
    tested = [
        (f"{m.label} ({d.words(m.unit, m.scale).split(': ')[-1]})", m.label, d.outcome)
        for m in REQUEST_METRICS
        if (d := against.differences.get((m.name, "mean"))) is not None
    ]
    parts = []
    for outcome in ("better", "worse"):
        said = [words for words, _, found in tested if found == outcome]
        if said:
            parts.append(f"is {outcome} in {listed(said)}")
    doubtful = [label for _, label, found in tested if found in ("noise", "model error", "too few")]
    if doubtful:
        parts.append(f"cannot be told from it in {listed(doubtful)}")
    return f"Against {baseline}, {against.label} {listed(parts)}." if parts else f"{against.label} does as {baseline}."


def _why(comparison: Comparison, i: int) -> list[str]:
    """Which phases of a request make its mean E2E longer or shorter."""
    first, own = (comparison.summary["scenarios"][n]["request_time_ms"] for n in (0, i))
    changes = {name: own[name] - first[name] for name in own}
    total, largest = sum(changes.values()), max(abs(change) for change in changes.values())
    if largest <= 0.0:
        return []
    parts = [
        f"{amount(abs(change))} ms {'more' if change > 0 else 'less'} {WORDS[name]}"
        for name, change in sorted(changes.items(), key=lambda item: -abs(item[1]))
        if abs(change) >= MATTERS * largest
    ]
    way = "more" if total > 0 else "less"
    return [f"A mean request takes {amount(abs(total))} ms {way} with {comparison.labels[i]}: {listed(parts)}."]
