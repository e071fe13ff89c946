"""Tries a recogniser before it is installed: whether it is one, how it cuts and feeds faces, and what its numbers mean.

What comes out says what was seen and no more. The faces at hand are two photos that come along and those in the user's
own folder of strangers; without that folder, and without a curve that is shipped for these very bytes, the
recogniser can take part in making cloaks and cannot judge them: two faces say nothing of one stranger in a thousand.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cloak import calibration, detectors, eot, io_image, networks, surrogates
from cloak.calibration import Curve
from cloak.errors import CloakError, SettingsInvalid
from cloak.networks import Networks
from cloak.settings import Settings
from cloak.store import Recipe
from cloak.surrogates import Surrogate
from cloak.types import Faces, Pixels

LARGEST_DIFFERENCE = 1e-4  # of a unit embedding's values, between PyTorch and another implementation
# Below these a face is blurred or may be none, and would make strangers look more or less alike than they are
_MIN_SCORE, _MIN_PX = 0.5, 32
_MAX_PIXELS = 120_000_000
_SUFFIXES = {".jpg", ".jpeg", ".png"}
_MAX_STRANGERS = 4000  # their pairs are enough for FMR 1e-6
_BLUR_PX = 1.2
_DARK = 0.4
# Views of one face must lie closer together than two people by this factor. Three trained networks have 3.2 to 7.8; two
# of them without their scale, and drawn weights, less than 0.3. A wrong crop or swapped channels (2.4 and more) pass.
_MARGIN = 2.0
PORTRAITS = ("astronaut.png", "camera.png")


@dataclass(frozen=True, slots=True)
class Checked:
    """What a recogniser showed when it was tried."""

    words: tuple[str, ...]
    calibration: dict[str, object] | None  # the fields of its curve; None: it is shipped, or there is none


def check(file: Path, recipe: Recipe, *, strangers: Path | None) -> Checked:
    """Try the ONNX recogniser in `file`, fed as `recipe` says.

    Args:
        strangers: a folder of photos. With one folder in it per person, different folders are different people;
            otherwise the faces within one photo are.
    Raises:
        WeightsCorrupt: the file is damaged.
        SettingsInvalid: it is no recogniser, or the crop, mean, scale, channels or layout cannot be right, or the
            folder holds too few strangers.
    """
    if strangers is not None and not strangers.is_dir():
        raise SettingsInvalid(f"{strangers}: is no folder. Nothing was added.")
    device = torch.device("cpu")
    surrogate = dataclasses.replace(surrogates.read("onnx", file, device, recipe), name=file.name)
    nets = Networks(device, detectors.load(Settings().detector, device), (surrogate,))
    words = [*_parity(file, surrogate), *_two_people(nets, file)]
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    if strangers is not None:
        curve = _calibrate(nets, sha256, recipe, strangers)
        words.append(_separates(nets, file, curve))
        return Checked((*words, _of(curve)), curve.fields())
    shipped = calibration.shipped(sha256, recipe)
    if shipped is not None:
        words.append(_separates(nets, file, shipped))
        return Checked((*words, f"{_of(shipped)} It came along with facecloak."), None)
    words.append("Nobody measured how alike strangers are to it, so it will take part in making cloaks and will not "
                 "judge them. Add it with --strangers FOLDER to let it judge.")
    return Checked(tuple(words), None)


def _parity(file: Path, surrogate: Surrogate) -> list[str]:
    """Compare with onnxruntime, where it is installed."""
    if importlib.util.find_spec("onnxruntime") is None:
        return ["onnxruntime is not installed, so nothing else was asked whether the network was translated rightly."]
    # Its import alone makes a device id and a database of events in the user's cache, for upload
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    prepared = surrogate.network
    assert isinstance(prepared, surrogates.Prepared)
    chips = torch.rand((3, 3, surrogate.size_px, surrogate.size_px), generator=torch.Generator().manual_seed(1))
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        theirs = np.concatenate([np.reshape(session.run(None, {name: prepared.feed(chip).numpy()})[0], (1, -1))
                                 for chip in chips.split(1)])
    except Exception as error:  # noqa: BLE001 - onnxruntime has no class of its own errors
        raise SettingsInvalid(f"{file}: onnxruntime cannot run it ({str(error).splitlines()[0][:200]}). "
                              "It was not added.") from error
    with torch.no_grad():
        ours = surrogate.embed(chips).numpy()
    difference = float(np.abs(ours - theirs / np.linalg.norm(theirs, axis=1, keepdims=True)).max())
    if not difference <= LARGEST_DIFFERENCE:
        raise SettingsInvalid(f"{file}: in PyTorch it gives other embeddings than in onnxruntime, by up to "
                              f"{difference:.2g}. A cloak made with it would be made against another network. It "
                              "was not added.")
    return [f"PyTorch and onnxruntime agree on its embeddings to {difference:.1g}."]


def _two_people(nets: Networks, file: Path) -> list[str]:
    """Look at two people, each as photographed, mirrored, blurred, without colour and in the dark."""
    first, second = (torch.cat([_embed(nets, view) for view in _views(_read(portrait(name)))]) for name in PORTRAITS)
    same = min(float((own @ own.T).min()) for own in (first, second))
    different = float((first @ second.T).max())
    if not (1 - same) * _MARGIN <= 1 - different:
        raise SettingsInvalid(
            f"{file}: views of one face are alike to it to {same:.3f}, and two people to {different:.3f}; that tells "
            "nobody from anybody. Check --crop, --mean, --scale and --channels, or it is no face recogniser. It was "
            "not added.")
    return [f"Views of one face are alike to {same:.2f} or more, two people to {different:.2f} or less. That tells a "
            "recogniser from another network; it does not show that the crop and the colours are exactly right."]


def _separates(nets: Networks, file: Path, curve: Curve) -> str:
    """Views of one face must be a match at the operating point, or the verdict would never say so."""
    pixels = _read(portrait())
    own = torch.cat([_embed(nets, view) for view in (pixels, _mirrored(pixels))])
    same, threshold = float(own[0] @ own[1]), curve.threshold(calibration.VERDICT_FMR)
    if same < threshold:
        raise SettingsInvalid(f"{file}: a portrait and its mirror image are alike to {same:.2f}, below the "
                              f"{threshold:.2f} that one stranger pair in {1 / calibration.VERDICT_FMR:.0f} reaches, "
                              "so it would call every cloak safe. Check --crop, --mean, --scale and --channels. "
                              "It was not added.")
    return f"A match from {threshold:.3f} on, at a false match rate of {calibration.VERDICT_FMR}."


def _of(curve: Curve) -> str:
    how = "measured on" if curve.made == "measured" else \
        "too few for this rate, so a normal distribution was fitted to"
    return f"The threshold was {how} {curve.impostor_pairs} pairs of {curve.subjects} strangers."


# --- strangers ---------------------------------------------------------------------------------------------------


def _calibrate(nets: Networks, sha256: str, recipe: Recipe, folder: Path) -> Curve:
    """The curve of strangers in a folder of photos. Keeps no picture, name or template."""
    people = sorted(entry for entry in folder.iterdir() if entry.is_dir() and _photos(entry))
    scores, subjects = _between_folders(nets, people) if people else _within_photos(nets, _photos(folder))
    try:
        rates, similarity, made = calibration.measure(scores)
    except SettingsInvalid as error:
        raise SettingsInvalid(f"{folder}: {error}") from error
    return Curve(
        recogniser=nets.surrogates[0].name,
        weights_sha256=sha256,
        detector=nets.detector.name,
        subjects=subjects,
        impostor_pairs=len(scores),
        source="photos of the user's own, different people " + ("in different folders" if people else "in one photo"),
        fmr=tuple(rates),
        similarity=tuple(round(value, 6) for value in similarity),
        made=made,
        recipe=dataclasses.asdict(recipe),
    )


def _between_folders(nets: Networks, people: list[Path]) -> tuple[np.ndarray, int]:
    """Similarities of all pairs of people, by the largest face of the first usable photo of each."""
    embedded = []
    for person in people[:_MAX_STRANGERS]:
        for path in _photos(person)[:3]:
            found = next(_faces(nets, [path]), None)
            if found is not None:
                pixels, faces = found
                sides = faces.boxes[:, 2:] - faces.boxes[:, :2]
                embedded.append(nets.embed(nets.surrogates[0], pixels, faces.take([int(sides.prod(1).argmax())])))
                break
    vectors = torch.cat(embedded).numpy() if embedded else np.zeros((0, 1), np.float32)
    return (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)].astype(np.float64), len(vectors)


def _within_photos(nets: Networks, photos: list[Path]) -> tuple[np.ndarray, int]:
    """Similarities of all pairs of faces that stand in one photo: nobody stands in it twice."""
    scores, subjects = [np.zeros(0)], 0
    for pixels, faces in _faces(nets, photos):
        vectors = nets.embed(nets.surrogates[0], pixels, faces).numpy()
        scores.append((vectors @ vectors.T)[np.triu_indices(len(vectors), 1)].astype(np.float64))
        subjects += len(vectors) if len(vectors) > 1 else 0
    return np.concatenate(scores), subjects


def _faces(nets: Networks, photos: list[Path]) -> Iterator[tuple[Pixels, Faces]]:
    """The clear faces of each photo that has any. A photo that cannot be read has none."""
    for path in photos:
        try:
            pixels = _read(path)
        except CloakError:
            continue
        (faces,) = nets.find([pixels])
        clear = (faces.scores >= _MIN_SCORE) & (faces.boxes[:, 3] - faces.boxes[:, 1] >= _MIN_PX)
        if clear.any():
            yield pixels, faces.take(np.flatnonzero(clear))


def _photos(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file())


# --- pictures ----------------------------------------------------------------------------------------------------


def portrait(name: str = PORTRAITS[0]) -> Path:
    """One of two photos that come along with scikit-image: the NASA portrait of Eileen Collins, public domain, and
    `camera.png`, Lav Varshney's photo of a man beside a camera, CC0, in profile and without colour."""
    spec = importlib.util.find_spec("skimage")
    folders = (spec.submodule_search_locations if spec else None) or []
    path = next((Path(folder) / "data" / name for folder in folders), None)
    if path is None or not path.is_file():
        raise SettingsInvalid(f"{name} is not there, a photo of scikit-image on which a recogniser is tried. Install "
                              "scikit-image again; nothing was added.")
    return path


def _read(path: Path) -> Pixels:
    return io_image.read_photo(path, max_pixels=_MAX_PIXELS).pixels


def _embed(nets: Networks, pixels: Pixels) -> torch.Tensor:
    (faces,) = nets.find([pixels])
    return nets.embed(nets.surrogates[0], pixels, faces.take([int(faces.scores.argmax())]))


def _mirrored(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[:, ::-1])


def _views(pixels: Pixels) -> list[Pixels]:
    """One photo in five ways that leave the person who they are."""
    soft = eot.blur(networks.stack([pixels], torch.device("cpu")), _BLUR_PX)
    return [
        pixels,
        _mirrored(pixels),
        np.asarray((soft[0].permute(1, 2, 0) * 255).round().numpy(), np.uint8),
        np.repeat(pixels.mean(2, keepdims=True).astype(np.uint8), 3, 2),
        (pixels * _DARK).astype(np.uint8),
    ]
