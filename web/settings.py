"""What whoever runs the service can set: where it listens, where it keeps jobs, and how much it takes on."""

from __future__ import annotations

import ipaddress
import sys
from dataclasses import dataclass
from pathlib import Path

from cloak import SettingsInvalid

# What a worker process is started as; it reads jobs from stdin.
WORKER = (sys.executable, "-m", "web.worker")


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Where the service is and what it takes on. Whatever is above a limit is refused, never cut down silently."""

    folder: Path  # holds the job store and one private folder per job
    host: str = "127.0.0.1"
    port: int = 8765
    workers: int = 1  # processes that do the work; each holds the networks, about 0.8 GB
    max_upload_bytes: int = 100 * 2**20  # of one request, all its files together
    max_pixels: int = 64_000_000  # of one photo
    max_clip_bytes: int = 2 * 2**30  # of one clip
    max_clip_pixels: int = 9_000_000  # of each of its pictures: 4K
    max_clip_s: float = 600.0  # that it lasts
    max_plan_bytes: int = 32 * 2**20  # of the plan for a clip
    upload_s: float = 300.0  # from first byte to last, of max_upload_bytes; what is larger gets more in proportion
    job_s: float = 900.0  # of work on one job
    clip_job_s: float = 3600.0  # of work on one job about a clip, for which there is one process more
    answer_s: float = 60.0  # that a request waits for its job at most
    keep_s: int = 3600  # from upload to the deletion of everything; clients may ask for less
    max_uploads: int = 64  # at the same time
    max_jobs: int = 200  # queued or running, of everybody
    max_jobs_per_token: int = 100
    min_free_bytes: int = 512 * 2**20  # left free on the disk, or uploads are refused
    worker: tuple[str, ...] = WORKER

    def __post_init__(self) -> None:
        if not self.host:
            raise SettingsInvalid("the host is empty; give 127.0.0.1 or the address of one interface")
        if not 0 <= self.port <= 65535:
            raise SettingsInvalid(f"port is {self.port}; choose one from 0 to 65535, 0 for any that is free")
        for name in ("workers", "max_upload_bytes", "max_pixels", "max_clip_bytes", "max_clip_pixels", "max_clip_s",
                     "max_plan_bytes", "upload_s", "job_s", "clip_job_s", "keep_s", "max_uploads", "max_jobs",
                     "max_jobs_per_token"):
            if not getattr(self, name) > 0:
                raise SettingsInvalid(f"{name} is {getattr(self, name)!r}; choose a number above 0")

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine can connect. A name other than localhost may be anything."""
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host == "localhost"
