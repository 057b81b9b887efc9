"""What the benchmarks say of the machine: no names, no paths."""

import platform
from pathlib import Path


def cpu_model() -> str:
    """The processor's own name, or the architecture where it has none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
