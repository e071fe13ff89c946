"""Measures the HTTP service under 50 uploads at once: writes `evaluation/results/service.json`.

    python scripts/service_load.py [--out FILE] [--uploads N] [--workers N] [--keep SECONDS]

The service runs as `cloak serve` runs it, with the engine. Every client uploads at the same moment a photo of its own
of one megapixel with one face, to be covered; then all wait. Measured: how soon each upload is answered, the places
told, how soon all are done, the largest memory of the service and of its workers, and what lies on the disk after the
deadline.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from demo import portrait
from PIL import Image

from evaluation import record
from web import tokens
from web.store import Store

RESULT = Path(__file__).parent.parent / "evaluation" / "results" / "service.json"
SIZE = (1200, 850)
SERVE = """
import sys
from pathlib import Path
from web.serving import serve
from web.settings import ServiceSettings
port, workers, keep_s = map(int, sys.argv[2:])
serve(ServiceSettings(folder=Path(sys.argv[1]), port=port, workers=workers, keep_s=keep_s))
"""
PORT = 8766


def photo(number: int) -> bytes:
    """A portrait on grey, a little different for each client."""
    picture = Image.new("RGB", SIZE, (128, 128, number))
    picture.paste(Image.open(portrait()).convert("RGB").resize((640, 640)), (300, 150))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=92)
    return data.getvalue()


def peak_mb(pid: int) -> float:
    """Largest resident memory of a process so far."""
    match = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) / 1024 if match else 0.0


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def measure(uploads: int, workers: int, keep_s: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "service"
        store = Store(folder)
        _, token = tokens.create(store, "load")
        store.close()
        process = subprocess.Popen([sys.executable, "-c", SERVE, str(folder), str(PORT), str(workers), str(keep_s)],
                                   stderr=subprocess.DEVNULL)
        try:
            run = {"uploads": uploads, "workers": workers, "keep_s": keep_s, "processors": os.cpu_count(),
                   "load_before": os.getloadavg()[0], "megapixels": SIZE[0] * SIZE[1] / 1e6}
            return {"run": run, **_load(process.pid, folder, token, uploads, keep_s)}
        finally:
            process.terminate()
            process.wait()


def _load(pid: int, folder: Path, token: str, uploads: int, keep_s: int) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=uploads)
    with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", headers={"Authorization": f"Bearer {token}"}, timeout=600,
                      trust_env=False, limits=limits) as client:
        while True:
            try:
                client.get("/healthz")
                break
            except httpx.TransportError:
                time.sleep(0.2)
        _wait(client, _hand_in(client, photo(0))[1])  # the networks are loaded
        idle = {"service_mb": peak_mb(pid), "workers_mb": [peak_mb(child) for child in children(pid)]}
        photos = [photo(1 + k) for k in range(uploads)]
        together = threading.Barrier(uploads)

        def one(data: bytes) -> tuple[float, dict[str, Any]]:
            together.wait()
            return _hand_in(client, data)

        start = time.perf_counter()
        with ThreadPoolExecutor(uploads) as pool:
            answers = list(pool.map(one, photos))
        answered = time.perf_counter() - start
        ended = [_wait(client, job) for _, job in answers]
        taken = time.perf_counter() - start
        most = {"service_mb": peak_mb(pid), "workers_mb": [peak_mb(child) for child in children(pid)]}
        files = sum(path.is_file() for path in (folder / "jobs").rglob("*"))
        time.sleep(max(0.0, keep_s - (time.perf_counter() - start)) + 3)
        left = sum(1 for _ in (folder / "jobs").rglob("*"))
    seconds = sorted(one for one, _ in answers)
    return {
        "answered": {"all": len(answers), "median_s": statistics.median(seconds), "slowest_s": seconds[-1],
                     "together_s": answered, "largest_place": max(job["place"] or 0 for _, job in answers)},
        "done": {"all": sum(job["state"] == "done" for job in ended), "protected": sum(
            bool(job["is_protected"]) for job in ended), "together_s": taken},
        "memory": {"before": idle, "after": most},
        "files": {"before_the_deadline": files, "after_the_deadline": left},
    }


def _hand_in(client: httpx.Client, data: bytes) -> tuple[float, dict[str, Any]]:
    start = time.perf_counter()
    answer = client.post("/v1/jobs", data={"kind": "protect"}, files={"file": ("march.jpg", data)})
    answer.raise_for_status()
    return time.perf_counter() - start, answer.json()


def _wait(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    while job["state"] in ("queued", "running"):
        job = client.get(f"/v1/jobs/{job['id']}", params={"wait": 30}).raise_for_status().json()
    return job


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--uploads", type=int, default=50)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", type=int, default=600, help="seconds; the deadline of every job")
    arguments = parser.parse_args()
    content = measure(arguments.uploads, arguments.workers, arguments.keep)
    record.write(arguments.out, "service", content)
    print(arguments.out)


if __name__ == "__main__":
    main()
