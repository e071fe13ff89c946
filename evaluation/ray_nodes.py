"""Ray nodes on this machine, for tests and measurements: processes with a folder of their own, to be killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

# The least that Ray accepts is 75 MB
_STORE_BYTES = 80_000_000
# Ray takes 15 seconds to call a node dead, which is right for networks and long for tests
_QUICK = {"RAY_health_check_period_ms": "500", "RAY_health_check_failure_threshold": "4",
          "RAY_health_check_initial_delay_ms": "1000"}
_SECONDS_TO_DIE = 20.0


class Nodes:
    """A cluster that is gone when the block is left, with all its processes and files.

    Args:
        path: what PYTHONPATH is on the nodes.
    """

    def __init__(self, path: str) -> None:
        # Ray puts sockets there, whose paths may have 107 bytes
        self.folder = Path(tempfile.mkdtemp(prefix="fc-ray-"))
        self.address = ""
        self._sessions: dict[str, int] = {}  # name of a node -> of processes
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        self._environment |= {**_QUICK, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": path}

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for name in list(self._sessions):
            self.kill(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name: str, *, cpus: int = 1, gpus: int = 0) -> None:
        """One more node; the first one is the head."""
        joining = [f"--address={self.address}"] if self.address else [
            "--head", "--port=0", "--include-dashboard=false", "--disable-usage-stats"]
        ray = Path(sys.executable).with_name("ray")
        process = subprocess.Popen(
            [ray, "start", *joining, f"--num-cpus={cpus}", f"--num-gpus={gpus}", "--include-log-monitor=false",
             f"--object-store-memory={_STORE_BYTES}", f"--temp-dir={self.folder / name}"],
            env=self._environment, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._sessions[name] = process.pid
        said, _ = process.communicate(timeout=120)
        if process.returncode:
            raise RuntimeError(f"the node {name} did not start: {said[-2000:]}")
        self.address = self.address or (self.folder / name / "ray_current_cluster").read_text()

    def kill(self, name: str) -> None:
        """Every process of a node, at once and without a word, as a power cut would."""
        end = time.monotonic() + _SECONDS_TO_DIE
        while left := self.processes(name):
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if time.monotonic() > end:
                raise RuntimeError(f"processes of the node {name} do not end: {left}")
            time.sleep(0.05)
        del self._sessions[name]

    def processes(self, name: str | None = None) -> list[int]:
        """Ids of the living processes of a node, or of all."""
        sessions = set(self._sessions.values()) if name is None else {self._sessions[name]}
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:  # it ended meanwhile
                continue
            if state not in "ZX" and int(session) in sessions:
                found.append(int(folder.name))
        return found
