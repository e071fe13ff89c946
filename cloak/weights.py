"""Weight files: which bytes are accepted under which name, and where they are on this machine."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from cloak import store
from cloak.errors import SettingsInvalid, WeightsCorrupt, WeightsMissing
from cloak.store import Recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class Weights:
    """One entry of weights.toml."""

    name: str
    role: Literal["surrogate", "detector", "matcher"]
    loads_as: str  # which reader it needs; "": cloak cannot load it yet
    licence: str
    source: str
    training_data: str
    package: str = ""  # import name of the distribution that carries the file
    path: str = ""  # relative to that package's folder, or within the repository
    repository: str = ""  # owner/name on GitHub
    commit: str = ""
    download: str = ""  # the file's address where it lies in no repository
    size: int | None = None  # bytes; None where nobody wrote it down, and then `limit` says how many are accepted
    limit: int | None = None
    sha256: str = ""  # "": nobody published it
    cautions: tuple[str, ...] = ()  # what the licence does not say
    non_commercial: bool = False
    recipe: Recipe | None = None

    @property
    def is_bundled(self) -> bool:
        """Whether a package that is installed with facecloak carries it."""
        return bool(self.package)

    @property
    def address(self) -> str:
        """Where the file can be fetched from; "" where it cannot."""
        # /raw/ leads to the bytes also where the repository keeps them in Git LFS; raw.githubusercontent.com does not
        in_repository = f"https://github.com/{self.repository}/raw/{self.commit}/{self.path}" if self.commit else ""
        return self.download or in_repository

    @property
    def file_name(self) -> str:
        """The file's name at its source, and in a mirror."""
        return (self.address or self.path).rpartition("/")[2]

    @property
    def largest(self) -> int:
        """More bytes than these are another file."""
        return self.size or self.limit or 0


@cache
def registry() -> dict[str, Weights]:
    """Every known weight file by name."""
    table = tomllib.loads(resources.files("cloak").joinpath("weights.toml").read_text("utf-8"))
    return {name: _entry(name, **fields) for name, fields in table.items()}


def recommended() -> tuple[str, ...]:
    """What `cloak models fetch recommended` fetches: recognisers that cloak can load, anyone may use, and of which
    every byte is known beforehand."""
    return tuple(name for name, entry in registry().items() if entry.role == "surrogate" and entry.address
                 and entry.loads_as and entry.sha256 and not entry.non_commercial)


def known(sha256: str) -> Weights | None:
    """The entry with exactly these bytes, if there is one."""
    return next((entry for entry in registry().values() if entry.sha256 == sha256), None)


@cache
def locate(name: str) -> Path:
    """Path of the named file, in the package that carries it or among the installed models, after its size and sha256
    were compared. A file that a package carries is never looked for among the models.

    Raises:
        SettingsInvalid: nothing is known by that name, here or in the registry.
        WeightsMissing: the package that carries it is not installed, or no longer holds the file.
        WeightsCorrupt: it is not the file that was vouched for.
    """
    weights = registry().get(name)
    return _in_package(weights) if weights is not None and weights.is_bundled else _in_store(name, weights)


def sha256_of(name: str) -> str:
    """The sha256 of the only bytes that `locate` accepts under this name."""
    weights = registry().get(name)
    return weights.sha256 if weights is not None and weights.is_bundled else store.describe(name).sha256


def _in_package(weights: Weights) -> Path:
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


def _in_store(name: str, weights: Weights | None) -> Path:
    try:
        model = store.describe(name)
    except WeightsMissing:
        if weights is None:
            raise SettingsInvalid(f"no weights are called {name!r}. See `cloak models list`; nothing was "
                                  "loaded.") from None
        if weights.address:
            raise WeightsMissing(f"{name}: is not installed. Fetch it with `cloak models fetch {name}`; nothing was "
                                 "loaded.") from None
        raise WeightsMissing(f"{name}: is not installed. Add its file with `cloak models add`; nothing was "
                             "loaded.") from None
    # What was fetched is vouched for by the registry and not by the folder it lies in.
    if model.origin == "fetched" and (weights is None or weights.sha256 not in ("", model.sha256)):
        vouched = "nothing by that name" if weights is None else weights.sha256
        raise WeightsCorrupt(f"{model.path}: was installed with sha256 {model.sha256}, but the registry knows "
                             f"{vouched}. Remove the model {name} and fetch it again; the file was not loaded.")
    return model.verify()


def _entry(name: str, cautions: Sequence[str] = (), recipe: dict[str, Any] | None = None, **fields: Any) -> Weights:
    made = None if recipe is None else Recipe(**{**recipe, "mean": tuple(recipe["mean"]),
                                                 "scale": tuple(recipe["scale"])})
    return Weights(name=name, cautions=tuple(cautions), recipe=made, **fields)
