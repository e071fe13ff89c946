"""Recognisers that judge. One file each; the file's name is the matcher's key.

Each states its preprocessing itself, from its upstream. That `cloak/surrogates` says the same again is
wanted: one shared wrong mean would let a cloak be optimised and judged on the same distorted network.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import ChoiceUnknown, EvaluationFailed
from evaluation.faces import Faces, Pixels
from evaluation.files import FileMissing

HERE = Path(__file__).parent
Metric = Literal["cosine", "euclidean"]


class TemplateBroken(EvaluationFailed):
    """A network gave something that cannot be compared."""


class Matcher(Protocol):
    """A recogniser, from pixels and found faces to templates."""

    name: str
    metric: Metric
    weights_sha256: str
    runtime: str  # library and version that runs it

    def embed(self, pixels: Pixels, faces: Faces) -> NDArray[np.float32]:
        """Templates (N, D) of the N >= 1 faces of one upright RGB picture."""
        ...


def names() -> tuple[str, ...]:
    """The keys of the matchers whose files come with a package or with the data pack."""
    modules = {p.stem for p in HERE.glob("*.py")} - {"__init__", "onnx", "facenet"}
    return tuple(sorted(modules | {p.stem for p in HERE.glob("*.toml")}))


def present(weights: Path, further: Path | None = None) -> tuple[tuple[str, ...], dict[str, str]]:
    """The keys of all matchers that can be loaded here, and by key the file that is missing for each of the others.

    Args:
        as `load` takes them.

    Callers name the others: a matcher that is left out silently would look like one that found nobody.
    """
    from evaluation.matchers.facenet import FILES

    missing = {name: file for name, file in FILES.items() if not ((further or weights) / file).is_file()}
    return tuple(sorted({*names(), *FILES} - set(missing))), missing


def known() -> tuple[str, ...]:
    """The keys of all matchers, of those too whose files come neither with a package nor with the data pack."""
    from evaluation.matchers.facenet import FILES

    return tuple(sorted({*names(), *FILES}))


def load(name: str, weights: Path, further: Path | None = None) -> Matcher:
    """A matcher by its key.

    Args:
        weights: the folder of the network files that come with no package.
        further: the folder of those that the data pack has not either; `weights` where it is None.
    Raises:
        ChoiceUnknown: no matcher is called that.
        FileMissing: its file, or the package that runs it, is not here.
        FileMismatch: the file is another one than was vouched for.
        TemplateBroken: the file is no network that makes templates of faces.
    """
    # Imported here: each runtime costs seconds or memory, and one that is not asked for need not be
    # installed.
    if (HERE / f"{name}.toml").is_file():
        return _onnx(name, weights)
    if name == "dlib_cpp":
        try:
            from evaluation.matchers.dlib_cpp import DlibMatcher
        except ImportError as error:
            raise FileMissing(f"{name}: {error}; pip install dlib-bin. It was not loaded.") from error

        return DlibMatcher()
    from evaluation.matchers.facenet import FILES, FacenetMatcher

    if name in FILES:
        try:
            return FacenetMatcher(name, further or weights)
        except ImportError as error:
            raise FileMissing(f"{name}: {error}; pip install facenet-pytorch. It was not loaded.") from error
    raise ChoiceUnknown(f"no matcher is called {name!r}; there are {', '.join(known())}.")


def _onnx(name: str, weights: Path) -> Matcher:
    """Tried on one grey picture, so that a file that is no recogniser is known before anything is judged."""
    try:
        from evaluation.matchers.onnx import OnnxMatcher
    except ImportError as error:
        raise FileMissing(f"{name}: {error}; pip install onnxruntime. It was not loaded.") from error
    points = np.array([[[38, 52], [74, 52], [56, 72], [42, 92], [71, 92]]], np.float32)
    face = Faces(np.array([[20, 20, 92, 108]], np.float32), points, np.ones(1, np.float32), enlarged=False)
    try:
        matcher = OnnxMatcher(HERE / f"{name}.toml", weights)
        template = matcher.embed(np.full((112, 112, 3), 128, np.uint8), face)
    except EvaluationFailed:
        raise
    except Exception as error:  # onnxruntime has no base class of its own for what can be wrong with a file
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TemplateBroken(f"{name}: its file is no face recogniser ({first}). It was not loaded.") from error
    if template.shape[1] < 2 or not np.isfinite(template).all():
        raise TemplateBroken(
            f"{name}: gives {template.shape[1]} numbers for a face, or some that are not finite: no face recogniser. "
            "It was not loaded."
        )
    return matcher


def identity(matcher: Matcher) -> str:
    """Digest of everything that decides a template: weights, runtime version, and the source of the judge's
    pipeline.

    Source is hashed whole, comments too: re-embedding costs minutes, a stale template costs the result.
    """
    described = HERE / f"{matcher.name}.toml"
    if described.is_file():
        own = [HERE / "onnx.py", described]
    elif matcher.name.startswith("facenet_"):
        own = [HERE / "facenet.py", HERE.parent / "mtcnn.py"]
    else:
        own = [HERE / f"{matcher.name}.py"]
    digest = hashlib.sha256(f"{matcher.weights_sha256} {matcher.runtime}".encode())
    for source in [HERE.parent / "faces.py", *own]:
        digest.update(source.read_bytes())
    return digest.hexdigest()


def similarities(a: NDArray[np.float32], b: NDArray[np.float32], metric: Metric) -> NDArray[np.float32]:
    """Similarity (N, M) of templates (N, D), (M, D), higher is more alike: cosine, or minus the distance."""
    for templates in (a, b):
        if not np.isfinite(templates).all() or (np.linalg.norm(templates, axis=1) == 0).any():
            raise TemplateBroken(
                "a template is not finite or is zero: the network is no face recogniser or is broken."
            )
    if metric == "cosine":
        lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
        return np.asarray((a @ b.T) / lengths, np.float32)
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)  # the squares cancel for near-equal templates
    squares = (wide_a**2).sum(1)[:, None] + (wide_b**2).sum(1) - 2 * wide_a @ wide_b.T
    return np.asarray(-np.sqrt(np.maximum(squares, 0)), np.float32)
