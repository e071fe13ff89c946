"""Weight files: which bytes are accepted under which name, and where they are on this machine."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from cloak.errors import WeightsCorrupt, WeightsMissing

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class Weights:
    """One entry of weights.toml."""

    name: str
    package: str  # import name of the distribution that carries the file
    path: str  # relative to that package's folder
    size: int  # bytes
    sha256: str
    licence: str
    source: str
    training_data: str


@cache
def registry() -> dict[str, Weights]:
    """Every known weight file by name."""
    table = tomllib.loads(resources.files("cloak").joinpath("weights.toml").read_text("utf-8"))
    return {name: Weights(name=name, **entry) for name, entry in table.items()}


@cache
def locate(name: str) -> Path:
    """Path of the named file, after its size and sha256 were compared.

    Raises:
        WeightsMissing: the package that carries it is not installed, or no longer holds the file.
        WeightsCorrupt: it is not the file that was vouched for.
    """
    weights = registry()[name]
    # find_spec does not run the package: face_recognition_models imports pkg_resources, which new setuptools lacks
    spec = importlib.util.find_spec(weights.package)
    if spec is None or not spec.submodule_search_locations:
        raise WeightsMissing(f"{weights.name}: the package {weights.package} is not installed. Install facecloak with "
                             "its dependencies; nothing was loaded.")
    path = Path(spec.submodule_search_locations[0]) / weights.path
    if not path.is_file():
        raise WeightsMissing(f"{path}: not there, although {weights.package} is installed. Reinstall that package; "
                             "nothing was loaded.")
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if len(data) != weights.size or found != weights.sha256:
        raise WeightsCorrupt(f"{path}: sha256 is {found} ({len(data)} bytes), expected {weights.sha256} "
                             f"({weights.size} bytes). Reinstall {weights.package}; the file was not loaded.")
    return path
