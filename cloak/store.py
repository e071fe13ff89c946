"""The models a user installed: one folder each, with a weight file and `model.toml`, which says what it is.

    <store>/mobilefacenet/mobilefacenet.pt
    <store>/mobilefacenet/model.toml         name, size, sha256, licence, source, preprocessing
    <store>/mobilefacenet/calibration.json   only where strangers were measured when it was added

A folder gets its name only when it is whole, so nobody ever sees half a model. Names that start with a dot are work
in progress and are never models.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO, Literal

from cloak.errors import ModelRefused, SettingsInvalid, WeightsCorrupt, WeightsMissing

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DESCRIPTION, CALIBRATION = "model.toml", "calibration.json"

# How a face is cut out of the photo: by landmarks laid onto ArcFace's or dlib's mean face, or as facenet-pytorch does.
CROPS = ("arcface112", "dlib150", "facenet160")

# The largest recognisers in use (ResNet-200, ViT-L) are below; more is a mistake or an attack on the disk.
LARGEST_FILE = 2 * 1024**3  # bytes
_LARGEST_DESCRIPTION = 64 * 1024  # bytes
_ABANDONED_S = 24 * 3600  # no check of a recogniser takes a day

# Lower case only: on macOS and Windows `A` and `a` would be one folder.
_NAME = re.compile(r"[a-z0-9]([a-z0-9_.-]{0,62}[a-z0-9])?")
_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a recogniser wants to be given.

    A chip is cut out as RGB from 0 to 255, put into the order of `channels`, and each value x of a channel becomes
    (x - mean) / scale; `mean` and `scale` are in the order of `channels` too.

    Raises:
        SettingsInvalid: a number is not finite, a scale not above 0, or a word unknown.
    """

    crop: str  # one of CROPS
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]
    channels: Literal["rgb", "bgr"]
    layout: Literal["nchw", "nhwc"] = "nchw"
    size_px: int | None = None  # edge of the square chip; None: what the crop's name says

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise SettingsInvalid(f"the crop is {self.crop!r}; choose one of {', '.join(CROPS)}")
        if self.channels not in ("rgb", "bgr"):
            raise SettingsInvalid(f"the channels are {self.channels!r}; choose rgb or bgr")
        if self.layout not in ("nchw", "nhwc"):
            raise SettingsInvalid(f"the layout is {self.layout!r}; choose nchw or nhwc")
        for what, numbers in (("mean", self.mean), ("scale", self.scale)):
            if len(numbers) != 3 or not all(math.isfinite(number) for number in numbers):
                raise SettingsInvalid(f"the {what} is {numbers}; give one or three finite numbers")
        if min(self.scale) <= 0:
            raise SettingsInvalid(f"the scale is {self.scale}; it divides, so every number must be above 0")
        if self.size_px is not None and not 32 <= self.size_px <= 1024:
            raise SettingsInvalid(f"the size is {self.size_px}; choose 32 to 1024 pixels")


@dataclass(frozen=True, slots=True)
class Model:
    """One installed model, as its model.toml describes it. Its bytes are not verified before `verify`."""

    name: str
    role: str  # "surrogate", "detector" or "matcher"
    loads_as: str  # which reader it needs, such as "onnx"; "": cloak cannot load it yet
    path: Path  # of the weight file
    size: int  # bytes
    sha256: str
    licence: str
    source: str
    origin: Literal["fetched", "added"]  # named by the registry, or by the user
    training_data: str = ""
    cautions: tuple[str, ...] = ()
    non_commercial: bool = False
    hash_accepted: bool = False  # nobody vouches for the sha256: it is what was found at the first fetch
    recipe: Recipe | None = None  # None: the reader knows it
    installed_at: str = ""  # UTC, ISO 8601

    @property
    def folder(self) -> Path:
        return self.path.parent

    @property
    def calibration(self) -> Path:
        """Where its calibration is, if it has one."""
        return self.folder / CALIBRATION

    def verify(self) -> Path:
        """Path of the weight file, read and found to be the one that was installed.

        Raises:
            WeightsMissing: the file is gone.
            WeightsCorrupt: it is another.
        """
        if not self.path.is_file():
            raise WeightsMissing(f"{self.path}: the file of the model {self.name} is gone. Remove the model and "
                                 "install it again; nothing was loaded.")
        size, sha256 = measure(self.path)
        if (size, sha256) != (self.size, self.sha256):
            raise WeightsCorrupt(f"{self.path}: sha256 is {sha256} ({size} bytes), expected {self.sha256} "
                                 f"({self.size} bytes). Remove the model {self.name} and install it again; the "
                                 "file was not loaded.")
        return self.path


def folder() -> Path:
    """Where models are kept: $FACECLOAK_MODELS, or the place the system has for such data. It need not exist."""
    chosen = os.environ.get("FACECLOAK_MODELS")
    return Path(chosen).expanduser().absolute() if chosen else data_folder() / "models"


def data_folder() -> Path:
    """What facecloak may keep of a user's: the place the system has for such data. It need not exist."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        # The XDG base directory specification wants a relative path to be ignored.
        named = Path(os.environ.get("XDG_DATA_HOME") or "")
        base = named if named.is_absolute() else Path.home() / ".local" / "share"
    return base / "facecloak"


def installed() -> tuple[Model, ...]:
    """Every model, by name. Raises WeightsCorrupt for a damaged one: to judge without it would be to judge less."""
    sound, damaged = survey()
    for trouble in damaged.values():
        raise trouble
    return sound


def survey() -> tuple[tuple[Model, ...], dict[str, WeightsCorrupt]]:
    """Every model whose description can be read, by name; and what is wrong with each of the others."""
    sound: list[Model] = []
    damaged: dict[str, WeightsCorrupt] = {}
    for name in _names():
        try:
            sound.append(describe(name))
        except WeightsCorrupt as error:
            damaged[name] = error
    return tuple(sound), damaged


def describe(name: str) -> Model:
    """The model of this name.

    Raises:
        WeightsMissing: none is installed under it.
        WeightsCorrupt: its model.toml is damaged.
    """
    check_name(name)
    path = folder() / name / DESCRIPTION
    if not path.parent.is_dir():
        raise WeightsMissing(f"{name}: no such model is installed in {folder()}. See `cloak models list`; nothing was "
                             "loaded.")
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_DESCRIPTION + 1)
        if len(data) > _LARGEST_DESCRIPTION:
            raise ValueError(f"longer than {_LARGEST_DESCRIPTION} bytes")
        return _from_table(tomllib.loads(data.decode("utf-8")), path)
    except FileNotFoundError:
        raise _damaged(path, "it is not there") from None
    except (OSError, ValueError, TypeError, KeyError) as error:  # a broken TOML or UTF-8 is a ValueError
        raise _damaged(path, f"{type(error).__name__}: {error}") from error


def add(
    model: Model, *, check: Callable[[Path], Mapping[str, object] | None] | None = None, move: bool = False,
    replace: bool = False, suffix: str | None = None,
) -> Model:
    """Installs the file at `model.path` under `model.name`; all of it or nothing.

    Args:
        model: what is promised of the file. Its `path` is where the file comes from.
        check: is given the copy inside the store before that is a model; raises where it is none, and returns what to
            keep as its calibration.
        move: take the file away instead of copying it; only for files inside the store's own work folder.
        replace: put it in the place of an installed model of the same name.
        suffix: of the installed file; None: the one it has.
    Returns:
        the model as it is installed.
    Raises:
        ModelRefused: the name is taken or not allowed, or the store cannot be written.
        WeightsCorrupt: the bytes copied are not those promised.
    """
    check_name(model.name)
    target = folder() / model.name
    if os.path.lexists(target) and not replace:
        raise ModelRefused(f"{model.name}: a model of this name is installed. Remove it first (cloak models remove "
                           f"{model.name}), or choose another name. Nothing was changed.")
    with work_folder() as work:
        made = work / model.name
        try:
            made.mkdir(mode=0o700)
            file = made / f"{model.name}{_suffix(model.path) if suffix is None else suffix}"
            if move:
                os.replace(model.path, file)
            else:
                _copy(model.path, file)
            file.chmod(0o600)
        except OSError as error:
            raise _cannot(file, error) from error
        kept = dataclasses.replace(model, path=file, installed_at=datetime.now(timezone.utc).isoformat())
        try:
            kept.verify()
        except WeightsCorrupt as error:
            raise WeightsCorrupt(f"{model.path}: what was copied is not what was read before. {error}") from error
        calibration = check(file) if check is not None else None
        try:
            if calibration is not None:
                _write(made / CALIBRATION, json.dumps(calibration, indent=1, allow_nan=False) + "\n")
            _write(made / DESCRIPTION, _to_toml(kept))
            if replace and os.path.lexists(target):
                os.rename(target, work / ".replaced")
            try:
                os.rename(made, target)  # fails where another process was faster: a full folder is never replaced
            except OSError:
                if replace and os.path.lexists(work / ".replaced"):
                    os.rename(work / ".replaced", target)
                raise
        except OSError as error:
            raise _cannot(target, error) from error
    return dataclasses.replace(kept, path=target / file.name)


def remove(name: str) -> None:
    """Removes an installed model, damaged or not. Touches nothing outside the store."""
    check_name(name)
    target = folder() / name
    if not target.is_dir():
        raise ModelRefused(f"{name}: no such model is installed in {folder()}. Nothing was removed.")
    if target.is_symlink():
        raise ModelRefused(f"{target}: is a link to another place, which is not ours to empty. Remove the link "
                           "yourself. Nothing was removed.")
    try:
        with work_folder() as work:
            os.rename(target, work / "removed")  # gone at once, even if emptying it is interrupted
    except OSError as error:
        raise _cannot(target, error) from error


def check_name(name: str) -> None:
    """Raises ModelRefused for what cannot be one folder's name on every system."""
    if not _NAME.fullmatch(name) or ".." in name or _WINDOWS_DEVICES.fullmatch(name):
        raise ModelRefused(f"{name[:80]!r}: not a name for a model. Use 1 to 64 of a-z, 0-9, '_', '-' and '.', with a "
                           "letter or digit first and last. Nothing was changed.")


def measure(path: Path) -> tuple[int, str]:
    """Size in bytes and sha256 of a file."""
    digest, size = hashlib.sha256(), 0
    with _open_regular(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


@contextlib.contextmanager
def work_folder() -> Iterator[Path]:
    """A new folder inside the store, on the same disk as what will lie there; removed on the way out."""
    try:
        make_store()
        _sweep()
        work = Path(tempfile.mkdtemp(prefix=".work-", dir=folder()))  # mode 0700
    except OSError as error:
        raise _cannot(folder(), error) from error
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _sweep() -> None:
    """Removes work folders that a killed process left behind a day ago."""
    for left in folder().glob(".work-*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(left, ignore_errors=True)


def make_store() -> Path:
    """The store's folder, made for its owner alone if it was not there."""
    path = folder()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot(path, error) from error
    return path


# --- model.toml --------------------------------------------------------------------------------------------------


def _names() -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder())
                      if _NAME.fullmatch(entry.name) and entry.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise WeightsCorrupt(f"{folder()}: the installed models cannot be listed ({error.strerror}). Set "
                             "FACECLOAK_MODELS to a readable folder; nothing was loaded.") from error


def _from_table(table: dict[str, Any], path: Path) -> Model:
    """Raises ValueError, TypeError or KeyError where `table` describes no model."""
    texts = ("name", "role", "loads_as", "sha256", "licence", "source", "origin", "training_data", "installed_at")
    for key in ("file", *texts):
        if not isinstance(table[key], str):
            raise TypeError(f"{key} is {table[key]!r}, not a text")
    for key in ("non_commercial", "hash_accepted"):
        if not isinstance(table[key], bool):
            raise TypeError(f"{key} is {table[key]!r}, not true or false")
    if table["name"] != path.parent.name:
        raise ValueError(f"name is {table['name']!r}, but the folder is {path.parent.name!r}")
    if table["file"] in ("", ".", "..") or Path(table["file"]).name != table["file"] or "\\" in table["file"]:
        raise ValueError(f"file is {table['file']!r}, which is not the name of a file beside it")
    if not _SHA256.fullmatch(table["sha256"]):
        raise ValueError(f"sha256 is {table['sha256']!r}")
    if type(table["size"]) is not int or table["size"] < 0:
        raise ValueError(f"size is {table['size']!r}")
    if table["origin"] not in ("fetched", "added"):
        raise ValueError(f"origin is {table['origin']!r}")
    cautions = table["cautions"]
    if not isinstance(cautions, list) or not all(isinstance(line, str) for line in cautions):
        raise TypeError(f"cautions is {cautions!r}, not a list of texts")
    recipe = table.get("preprocessing")
    try:
        made = None if recipe is None else Recipe(**{**recipe, "mean": tuple(map(float, recipe["mean"])),
                                                     "scale": tuple(map(float, recipe["scale"]))})
    except SettingsInvalid as error:  # a ValueError already, but not the user's setting
        raise ValueError(f"preprocessing: {error}") from error
    return Model(
        **{key: table[key] for key in texts}, path=path.parent / table["file"], size=table["size"],
        cautions=tuple(cautions), non_commercial=table["non_commercial"], hash_accepted=table["hash_accepted"],
        recipe=made,
    )


def _to_toml(model: Model) -> str:
    fields: dict[str, object] = {
        "name": model.name, "role": model.role, "loads_as": model.loads_as, "file": model.path.name, "size": model.size,
        "sha256": model.sha256, "licence": model.licence, "source": model.source, "origin": model.origin,
        "training_data": model.training_data, "cautions": model.cautions, "non_commercial": model.non_commercial,
        "hash_accepted": model.hash_accepted, "installed_at": model.installed_at,
    }
    lines = [f"{key} = {_toml_value(value)}" for key, value in fields.items()]
    if model.recipe is not None:
        lines += ["", "[preprocessing]  # chip RGB 0..255 -> channel order -> (x - mean) / scale"]
        lines += [f"{key} = {_toml_value(value)}" for key, value in dataclasses.asdict(model.recipe).items()
                  if value is not None]
    return "\n".join(lines) + "\n"


def _toml_value(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    # JSON's escapes are TOML's, but for DEL; bytes that are no UTF-8 have no place in a TOML file at all.
    text = str(value).encode("utf-8", "replace").decode("utf-8")
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _damaged(path: Path, found: str) -> WeightsCorrupt:
    return WeightsCorrupt(f"{path}: the description of an installed model cannot be used ({found}). Remove the model "
                          f"(cloak models remove {path.parent.name}) and install it again; it was not loaded.")


# --- files -------------------------------------------------------------------------------------------------------


def _suffix(path: Path) -> str:
    return path.suffix.lower() if re.fullmatch(r"\.[a-z0-9]{1,8}", path.suffix.lower()) else ""


def _open_regular(path: Path) -> BinaryIO:
    """Opens a file for reading; never waits for a pipe's other end.

    Raises:
        WeightsMissing: there is no such file, or it is no file.
        ModelRefused: it is larger than any model.
    """
    try:
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))
    except OSError as error:
        raise WeightsMissing(f"{path}: cannot be read ({error.strerror}). Nothing was installed.") from error
    about = os.fstat(file.fileno())
    if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST_FILE:
        file.close()
        if not stat.S_ISREG(about.st_mode):
            raise WeightsMissing(f"{path}: is not a file. Nothing was installed.")
        raise ModelRefused(f"{path}: {about.st_size} bytes are more than the {LARGEST_FILE} that a model may have. "
                           "Nothing was installed.")
    return file


def _copy(source: Path, target: Path) -> None:
    with _open_regular(source) as read, target.open("xb") as written:
        shutil.copyfileobj(read, written, 1 << 20)
        written.flush()
        os.fsync(written.fileno())


def _write(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8", newline="\n") as file:
        os.chmod(path, 0o600)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _cannot(path: Path, error: OSError) -> ModelRefused:
    return ModelRefused(f"{path}: cannot be written ({error.strerror}). Choose a place for models with "
                        "FACECLOAK_MODELS; no model was changed.")
