"""What was computed from a file, kept on disk under the digest of that file.

The clean gallery is embedded once and not again for every arm. One .npz per table; the name of the file
carries the digest of whatever decides its rows (weights, preprocessing, versions), so that a changed judge
starts an empty table.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.files import write_beside_and_rename


class Table:
    """Arrays (K, D) of float32 by key; K may differ from key to key, D may not."""

    def __init__(self, folder: Path, name: str, identity: str) -> None:
        self.path = folder / f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.npz"
        self._rows: dict[str, NDArray[np.float32]] = self._read()
        self._unsaved = 0

    def get(self, key: str) -> NDArray[np.float32] | None:
        return self._rows.get(key)

    def put(self, key: str, rows: NDArray[np.float32]) -> None:
        self._rows[key] = rows
        self._unsaved += 1

    def save(self) -> None:
        """Merge with what another run has saved meanwhile; the loser of a race only computes again."""
        if not self._unsaved:
            return
        self._rows = self._read() | self._rows
        content = io.BytesIO()
        np.savez(
            content,
            keys=np.array(list(self._rows)),
            counts=np.array([len(rows) for rows in self._rows.values()]),
            rows=np.concatenate(list(self._rows.values())),
        )
        write_beside_and_rename(self.path, content.getvalue())
        self._unsaved = 0

    def _read(self) -> dict[str, NDArray[np.float32]]:
        if not self.path.is_file():
            return {}
        with np.load(self.path) as stored:
            parts = np.split(stored["rows"], np.cumsum(stored["counts"])[:-1])
            return dict(zip(stored["keys"].tolist(), parts, strict=True))
