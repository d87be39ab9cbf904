"""Request traces: reading many formats as streams, describing, and writing the project's own."""

from simulator.workloads.traces.describe import describe
from simulator.workloads.traces.formats import NAMES as FORMAT_NAMES
from simulator.workloads.traces.reading import TraceFile, open_trace
from simulator.workloads.traces.writing import write_requests

__all__ = ["FORMAT_NAMES", "TraceFile", "describe", "open_trace", "write_requests"]
