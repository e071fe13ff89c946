"""How visible a change is, on the whole photo and on the face box enlarged 1.3x."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import structural_similarity
from ssimulacra2 import compute_ssimulacra2
from ssimulacra2 import ssimulacra2 as steps

from evaluation.faces import Pixels

FACE_MARGIN = 1.3
# From this side on the package reaches its sixth scale (225 halves five times to 8) and is the reference.
SIX_SCALES_PX = 225

# Wang et al. 2003, section 3.2: finest scale first. An 11 x 11 window of sigma 1.5, constants 0.01 and 0.03.
MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW_PX = 11


@dataclass(frozen=True, slots=True)
class Quality:
    """What one picture lost against another. Higher is better but for `largest_change`."""

    psnr_db: float
    ssim: float
    ms_ssim: float
    ssimulacra2: float  # as the package computes it, and design/baselines.md with it
    ssimulacra2_reference: float  # as its authors define it; differs on pictures under 225 px
    largest_change: int  # levels of 255


def compare(original: Pixels, changed: Pixels) -> Quality:
    """Compare two (H, W, 3) pictures of the same size."""
    if original.shape != changed.shape:
        raise ValueError(f"quality of different sizes: {original.shape} and {changed.shape}.")
    difference = original.astype(np.float64) - changed
    mean_square = float((difference**2).mean())
    reference = ssimulacra2_reference(original, changed)
    return Quality(
        psnr_db=float("inf") if mean_square == 0 else 10 * float(np.log10(255**2 / mean_square)),
        ssim=ssim(original, changed),
        ms_ssim=ms_ssim(original, changed),
        ssimulacra2=reference if min(original.shape[:2]) >= SIX_SCALES_PX else ssimulacra2(original, changed),
        ssimulacra2_reference=reference,
        largest_change=int(np.abs(difference).max()),
    )


def ssim(original: Pixels, changed: Pixels) -> float:
    """Mean of the three channels' SSIM with the paper's 11 x 11 Gaussian window of sigma 1.5.

    Source: Wang et al., IEEE TIP 13(4), 2004. scikit-image's implementation.
    """
    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            original, changed, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


def ms_ssim(original: Pixels, changed: Pixels) -> float:
    """Mean of the three channels' multi-scale SSIM, over whole windows only.

    Five scales need 176 px. On smaller pictures, so on most LFW faces, the coarse scales that have no room for a
    window are left out and the other weights are enlarged to the same sum: comparable among pictures of one size, not
    with figures of larger ones.
    Source: Wang, Simoncelli and Bovik, Asilomar 2003, https://doi.org/10.1109/ACSSC.2003.1292216, eq. 7. Negative
        contrast terms count as 0, as a root of them is no number.
    Raises:
        ValueError: a side is under 11 px.
    """
    side = min(original.shape[:2])
    scales = sum(side // 2**scale >= WINDOW_PX for scale in range(len(MS_SSIM_WEIGHTS)))
    if not scales:
        raise ValueError(f"MS-SSIM of {original.shape[1]} x {original.shape[0]} px; no side may be under {WINDOW_PX}.")
    weights = np.array(MS_SSIM_WEIGHTS[:scales]) * (sum(MS_SSIM_WEIGHTS) / sum(MS_SSIM_WEIGHTS[:scales]))
    a, b = original.astype(np.float64), changed.astype(np.float64)
    terms = np.ones(3)
    for scale, weight in enumerate(weights):
        if scale:
            a, b = _halved(a), _halved(b)
        luminance, contrast = _ssim_terms(a, b)
        last = scale == scales - 1
        terms *= np.maximum((luminance * contrast if last else contrast).mean((0, 1)), 0) ** weight
    return float(terms.mean())


def ssimulacra2(original: Pixels, changed: Pixels) -> float:
    """SSIMULACRA2 by the package `ssimulacra2`, kept because the figures of design/baselines.md were made
    with it.

    On pictures with a side under 225 px, so on every LFW face, it leaves out the sixth scale without moving
    the weights along: chroma is then punished far more and luma far less than the metric means to.
    """
    return float(compute_ssimulacra2(_bitmap(original), _bitmap(changed)))


def ssimulacra2_reference(original: Pixels, changed: Pixels) -> float:
    """SSIMULACRA2 with the authors' rule for small pictures: six scales unless a side is under 8 px *before*
    halving.

    100 is identical, 90 not seen side by side, 70 not annoying, 50 visible, 30 low quality. Above 225 px this
    is the package's figure to the last digit. The package's blur mirrors at two of the four borders where the
    authors' takes zero; on LFW faces that moves the score by less than 1.5.
    Source: https://github.com/libjxl/libjxl, tools/ssimulacra2.cc, ComputeSSIMULACRA2.
    """
    linear = [steps.srgb_to_linear(pixels.astype(np.float64)) for pixels in (original, changed)]
    score = steps.Msssim()
    for scale in range(steps.kNumScales):
        if min(linear[0].shape[:2]) < 8:
            break
        if scale:
            linear = [steps.downsample(picture, 2, 2) for picture in linear]
        a, b = (steps.make_positive_xyb(steps.linear_rgb_to_xyb(picture)) for picture in linear)
        mean_a, mean_b = steps.blur_image(a), steps.blur_image(b)
        maps = steps.MsssimScale()
        maps.avg_ssim = steps.ssim_map(
            mean_a, mean_b, steps.blur_image(a * a), steps.blur_image(b * b), steps.blur_image(a * b)
        )
        maps.avg_edgediff = steps.edge_diff_map(a, mean_a, b, mean_b)
        score.scales.append(maps)
    return float(score.score())


@dataclass(frozen=True, slots=True)
class Outside:
    """What changed where nothing should: values of the channels, so bytes."""

    changed: int
    of: int

    @property
    def share(self) -> float:
        return self.changed / self.of if self.of else 0.0


def outside(original: Pixels, changed: Pixels, box: NDArray[np.float32], margin: float = FACE_MARGIN) -> Outside:
    """How many bytes differ outside a face box (4,) enlarged about its centre.

    Of a file written as JPEG most do: that is the encoder, and a no-op that is encoded the same way shows how much.
    """
    different = original != changed
    face = crop(different, box, margin)
    return Outside(int(different.sum() - face.sum()), int(different.size - face.size))


def shown_at(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """The picture scaled to (height, width), as it is where no scaling is needed: platforms send other sizes."""
    if pixels.shape[:2] == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC), np.uint8)


def crop(pixels: NDArray[Any], box: NDArray[np.float32], margin: float = FACE_MARGIN) -> NDArray[Any]:
    """The part of a picture inside a box (4,) enlarged about its centre, cut at the rim of the picture."""
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * margin
    left, top = np.maximum(np.floor(centre - half), 0).astype(int)
    right, bottom = np.ceil(centre + half).astype(int)
    return pixels[top:bottom, left:right]


def _ssim_terms(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Luminance and contrast-structure maps of (H, W, 3) pictures, each (H - 10, W - 10, 3)."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = _windowed(a), _windowed(b)
    variance_a, variance_b = _windowed(a * a) - mean_a**2, _windowed(b * b) - mean_b**2
    covariance = _windowed(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance, (2 * covariance + c2) / (variance_a + variance_b + c2)


def _windowed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    kernel = cv2.getGaussianKernel(WINDOW_PX, 1.5)
    half = WINDOW_PX // 2
    return np.asarray(cv2.sepFilter2D(values, -1, kernel, kernel)[half:-half, half:-half], np.float64)


def _halved(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of 2 x 2; an odd last row or column is left out."""
    height, width = values.shape[0] // 2, values.shape[1] // 2
    return np.asarray(values[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).mean((1, 3)), np.float64)


def _bitmap(pixels: Pixels) -> io.BytesIO:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "BMP")
    stream.seek(0)
    return stream
