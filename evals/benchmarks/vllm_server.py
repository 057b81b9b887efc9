"""A vLLM server for a benchmark: started by medllm's own command, on one core or where it likes, and stopped at the end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

READY_SECONDS = 1800


@contextmanager
def server(
    model: str, python: str, log: Path, *, core: int | None = None, serve: Sequence[str] = (), more: Sequence[str] = ()
) -> Iterator[str]:
    """The address of a server that serves ``model`` alone, while it is open. ``serve`` are options of medllm, ``more`` of vLLM."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [sys.executable, "-c", "from medllm.cli import main; main()", "models", "serve", model, "--python", python]
    line += ["--port", str(port), *serve, "--", *more]
    # The folder of the package itself is not for vLLM's environment to see.
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": os.environ.get("VLLM_CPU_KVCACHE_SPACE", "1")}
    if core is not None:
        environment["VLLM_CPU_OMP_THREADS_BIND"] = str(core)
    with log.open("wb") as output:
        process = subprocess.Popen(line, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True)
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, {core})
    try:
        url = f"http://127.0.0.1:{port}"
        until = time.monotonic() + READY_SECONDS
        while not _up(url):
            if process.poll() is not None or time.monotonic() > until:
                sys.exit(f"the server did not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(1)
        yield url
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
