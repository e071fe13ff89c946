"""How visible a change is, on the whole photo and on the face box enlarged 1.3x."""

from __future__ import annotations

import io
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Quality:
    """What one picture lost against another. Higher is better but for `largest_change`."""

    psnr_db: float
    ssim: float
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


def crop(pixels: Pixels, box: NDArray[np.float32], margin: float = FACE_MARGIN) -> Pixels:
    """The part of a picture inside a box (4,) enlarged about its centre, cut at the rim of the picture."""
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * margin
    left, top = np.maximum(np.floor(centre - half), 0).astype(int)
    right, bottom = np.ceil(centre + half).astype(int)
    return pixels[top:bottom, left:right]


def _bitmap(pixels: Pixels) -> io.BytesIO:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "BMP")
    stream.seek(0)
    return stream
