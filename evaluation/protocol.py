"""A protocol: one TOML file that says what a run judges, so that two runs of it can be compared.

protocol = read(Path("evaluation/protocols/standard.toml"))
protocol.data.subjects

Every key is checked, and one that is not known is refused: a misspelt key would silently judge something else.
"""

from __future__ import annotations

import re
import sys
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from evaluation import arms, matchers, protect, publishing
from evaluation.errors import EvaluationFailed

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

SCHEMA = "facecloak-protocol/1"

# They run always and come first, so that a judge who misbehaves is known before an hour of cloaking. A placebo of the
# same size, "noise as <preset>", follows each preset.
CONTROLS = ("clean", "no-op", "solid box")


class ProtocolInvalid(EvaluationFailed):
    """A protocol file cannot be read, or does not say what it must. Nothing was judged."""


@dataclass(frozen=True, slots=True)
class Data:
    """Who is judged, with which photos."""

    subjects: int  # people who are searched for
    photos: str = "lfw-dev"  # folder of the data pack, in LFW layout
    weights: str = "weights"  # folder of the data pack with the matchers' files
    split: Literal["tuning", "judging"] = "judging"
    skip: int = 0  # leaves out so many subjects, whose results were looked at before
    mates: int = 3  # clean photos of each subject that the searcher has
    seed: int = 0

    def __post_init__(self) -> None:
        _whole("data.subjects", self.subjects, 1)
        _whole("data.skip", self.skip, 0)
        _whole("data.mates", self.mates, 1)
        _whole("data.seed", self.seed, 0)
        for key, value in (("data.photos", self.photos), ("data.weights", self.weights)):
            if not value or Path(value).is_absolute() or ".." in Path(value).parts:
                raise ProtocolInvalid(f"{key} is {value!r}; name a folder inside the data pack.")


@dataclass(frozen=True, slots=True)
class Matchers:
    """Who searches. A required one that is missing ends the run; an optional one is left out by name."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.required:
            raise ProtocolInvalid("matchers.required names none; without a matcher nothing is judged.")
        _different("matchers", (*self.required, *self.optional))
        for key in ("required", "optional"):
            for name in getattr(self, key):
                _one_of(f"matchers.{key}", name, matchers.known())


@dataclass(frozen=True, slots=True)
class Engine:
    """What the cloaks are made with. Recognisers are named: what is installed here must not change a result."""

    recognisers: tuple[str, ...] = ("dlib_resnet29",)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    detector: str = "centerface"
    jpeg_quality: int = 95


@dataclass(frozen=True, slots=True)
class Robustness:
    """Every one of these arms is judged again after every one of these publishing steps."""

    arms: tuple[str, ...]
    steps: tuple[str, ...]

    def __post_init__(self) -> None:
        _different("robustness.arms", self.arms)
        _different("robustness.steps", self.steps)
        for step in self.steps:
            _step("robustness.steps", step)


@dataclass(frozen=True, slots=True)
class Gallery:
    """People in further galleries, filled up with drawn ones; ranks of these arms are measured in each."""

    arms: tuple[str, ...]
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        _different("gallery.arms", self.arms)
        _different("gallery.sizes", self.sizes)
        for size in self.sizes:
            _whole("gallery.sizes", size, 2)


@dataclass(frozen=True, slots=True)
class Linkability:
    """Arms whose written photos are also compared with each other; a second photo of everybody is made for it."""

    arms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Supplied:
    """Files that another tool made of the same photos; see `arms.supplied`."""

    name: str
    folder: str  # relative to the protocol file


@dataclass(frozen=True, slots=True)
class Protocol:
    """All of it. `arms` are presets of the engine and names of `arms.names()`; the controls need no mention."""

    name: str  # of the result file
    data: Data
    matchers: Matchers
    publish: str = "jpeg90"  # what happens to every file before the headline
    arms: tuple[str, ...] = ()
    arm: tuple[Supplied, ...] = ()
    engine: Engine = field(default_factory=Engine)
    robustness: Robustness = field(default_factory=lambda: Robustness((), ()))
    gallery: Gallery = field(default_factory=lambda: Gallery((), ()))
    groups: bool = True
    linkability: Linkability = field(default_factory=lambda: Linkability(()))
    folder: Path = field(default=Path("."), metadata={"key": False})  # where the file lies

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", self.name):
            raise ProtocolInvalid(f"name is {self.name!r}; use small letters, digits and hyphens: files are named so.")
        _step("publish", self.publish)
        _different("arms", self.arms)
        for name in self.arms:
            _one_of("arms", name, (*protect.strengths(), *arms.names()))
        for supplied in self.arm:
            if not supplied.name.strip() or not supplied.folder:
                raise ProtocolInvalid("an [[arm]] without a name or a folder.")
        names = self.names()
        _different("arms and [[arm]]", names)
        slugs = [slug(name) for name in names]
        _different("the folders of arms and [[arm]]", slugs)
        for name in self.robustness.arms:
            _one_of("robustness.arms", name, names)
        for name in self.gallery.arms:
            _one_of("gallery.arms", name, names)
        for name in self.linkability.arms:
            _one_of("linkability.arms", name, ("clean", *self.arms))
        protect.check(**self.engine_options())

    @property
    def presets(self) -> tuple[str, ...]:
        """The arms that are cloaks."""
        return tuple(name for name in self.arms if name in protect.strengths())

    def names(self) -> tuple[str, ...]:
        """Every arm in the order of the result."""
        cloaks = [name for preset in self.presets for name in (preset, f"noise as {preset}")]
        others = [name for name in self.arms if name not in self.presets]
        return (*CONTROLS, *cloaks, *others, *(supplied.name for supplied in self.arm))

    def engine_options(self) -> dict[str, Any]:
        """As the bridge takes them."""
        return {name: getattr(self.engine, name) for name in _names(Engine)} | {"seed": self.data.seed}


def read(path: Path) -> Protocol:
    """A protocol from its file.

    Raises:
        ProtocolInvalid: names the file and the key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProtocolInvalid(f"{path}: not a TOML file that can be read ({error}). Nothing was judged.") from error
    found = content.pop("schema", None)
    if found != SCHEMA:
        raise ProtocolInvalid(f"{path}: schema is {found!r}, this version reads {SCHEMA!r}. Nothing was judged.")
    try:
        protocol: Protocol = _made(Protocol, content, "", folder=path.parent)
    except EvaluationFailed as error:
        raise ProtocolInvalid(f"{path}: {error} Nothing was judged.") from error
    return protocol


def slug(name: str) -> str:
    """An arm's name as the name of a folder."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-") or "arm"


def _made(kind: Any, table: dict[str, Any], where: str, **given: Any) -> Any:
    """A dataclass from a TOML table, each key of its annotated type."""
    hints = get_type_hints(kind)
    known = {one.name: one for one in fields(kind) if one.metadata.get("key", True)}
    for key in table:
        if key not in known:
            raise ProtocolInvalid(f"{where}{key} is no key; there are {', '.join(where + name for name in known)}.")
    for name, one in known.items():
        if name not in table and one.default is MISSING and one.default_factory is MISSING:
            raise ProtocolInvalid(f"{where}{name} is missing.")
    values = {key: _value(hints[key], value, f"{where}{key}") for key, value in table.items()}
    return kind(**values, **given)


def _value(kind: Any, value: Any, key: str) -> Any:
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise ProtocolInvalid(f"{key} is {value!r}; it must be a table, [{key}].")
        return _made(kind, value, f"{key}.")
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise ProtocolInvalid(f"{key} is {value!r}; it must be a list.")
        return tuple(_value(get_args(kind)[0], one, key) for one in value)
    if get_origin(kind) is Literal:
        return _one_of(key, value, get_args(kind))
    # A bool is an int to Python, and 1 no bool to a reader
    if type(value) is not kind:
        raise ProtocolInvalid(f"{key} is {value!r}; it must be {_WORDS[kind]}.")
    return value


_WORDS: dict[type, str] = {str: "text", int: "a whole number", bool: "true or false"}


def _names(kind: type) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


def _whole(key: str, value: int, lowest: int) -> None:
    if value < lowest:
        raise ProtocolInvalid(f"{key} is {value}; it must be at least {lowest}.")


def _one_of(key: str, value: Any, known: Any) -> Any:
    if value not in known:
        raise ProtocolInvalid(f"{key} names {value!r}; there is {', '.join(map(str, known))}.")
    return value


def _different(key: str, values: Any) -> None:
    twice = sorted({str(value) for value in values if list(values).count(value) > 1})
    if twice:
        raise ProtocolInvalid(f"{key} name {', '.join(twice)} twice.")


def _step(key: str, step: str) -> None:
    try:
        publishing.check(step)
    except ValueError as error:
        raise ProtocolInvalid(f"{key}: {error}") from error
