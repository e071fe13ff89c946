"""Known answers and the anchors of design/baselines.md."""

import io

import numpy as np
import pytest
from PIL import Image

from evaluation import arms, quality
from evaluation.faces import YuNet, decode, main_face
from evaluation.samples import read_samples


def encoded(pixels, jpeg_quality, subsampling="4:4:4"):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=jpeg_quality, subsampling=subsampling)
    return np.asarray(Image.open(stream))


def test_identical_pictures_are_perfect(astronaut):
    same = quality.compare(astronaut, astronaut)
    assert (same.psnr_db, same.ssim, same.largest_change) == (float("inf"), 1.0, 0)
    assert same.ms_ssim == pytest.approx(1)
    assert same.ssimulacra2 == same.ssimulacra2_reference == 100


def test_psnr_of_one_level_everywhere(astronaut):
    dimmer = np.clip(astronaut, 1, 255) - 1
    brighter = (dimmer + 1).astype(np.uint8)
    one = quality.compare(brighter, dimmer.astype(np.uint8))
    assert one.psnr_db == pytest.approx(20 * np.log10(255))
    assert one.largest_change == 1


def test_ssim_of_a_constant_shift_is_the_luminance_term():
    """Wang et al. 2004, eq. 6: no structure, so only the means count."""
    dark, light = np.full((32, 32, 3), 100, np.uint8), np.full((32, 32, 3), 110, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert quality.ssim(dark, light) == pytest.approx((2 * 100 * 110 + c1) / (100**2 + 110**2 + c1), abs=1e-6)


def test_ms_ssim_of_a_constant_shift_is_the_luminance_term_of_the_last_scale():
    """Wang et al. 2003, eq. 7: no structure, so only the means count, and they count with the last weight."""
    dark, light = np.full((176, 180, 3), 100, np.uint8), np.full((176, 180, 3), 110, np.uint8)
    c1 = (0.01 * 255) ** 2
    luminance = (2 * 100 * 110 + c1) / (100**2 + 110**2 + c1)
    assert quality.ms_ssim(dark, light) == pytest.approx(luminance**0.1333, abs=1e-6)
    four = 0.2363 * 1.0001 / (1.0001 - 0.1333)  # one pixel less has room for four scales
    assert quality.ms_ssim(dark[1:], light[1:]) == pytest.approx(luminance**four, abs=1e-6)


@pytest.mark.parametrize("change", ["jpeg", "noise", "inverted"])
def test_ms_ssim_is_that_of_another_implementation(astronaut, change):
    """pytorch-msssim, whose own tests hold it to TensorFlow's; sides that halve evenly, as its borders differ."""
    import torch
    from pytorch_msssim import ms_ssim

    changed = {
        "jpeg": encoded(astronaut, 20),
        "noise": np.clip(astronaut + np.random.default_rng(0).normal(0, 30, astronaut.shape), 0, 255).astype(np.uint8),
        "inverted": 255 - astronaut,
    }[change]
    tensors = [torch.from_numpy(p.astype(np.float64)).permute(2, 0, 1)[None] for p in (astronaut, changed)]
    # Its own window is rounded to 32 bits, which noise makes visible in the sixth digit.
    window = torch.exp(-((torch.arange(11, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
    window = (window / window.sum()).repeat(3, 1, 1, 1)
    expected = float(ms_ssim(*tensors, data_range=255, win=window))
    assert quality.ms_ssim(astronaut, changed) == pytest.approx(expected, abs=1e-9)


def test_ms_ssim_falls_with_jpeg_quality_and_needs_one_window(astronaut):
    scores = [quality.ms_ssim(astronaut, encoded(astronaut, q)) for q in (95, 75, 50, 10)]
    assert scores == sorted(scores, reverse=True) and scores[0] < 1
    with pytest.raises(ValueError, match="10 x 30 px"):
        quality.ms_ssim(astronaut[:30, :10], astronaut[:30, :10])


def test_bytes_outside_the_face_are_counted_one_by_one(astronaut):
    box = np.array([172, 64, 272, 164], np.float32)  # enlarged 1.3x: 157 to 287, 49 to 179
    changed = astronaut.copy()
    changed[49:179, 157:287] ^= 1
    assert quality.outside(astronaut, changed, box) == quality.Outside(0, 512 * 512 * 3 - 130 * 130 * 3)
    changed[48, 157] ^= 1  # three channels of a pixel above
    changed[300, 300, 2] ^= 1
    assert quality.outside(astronaut, changed, box).changed == 4
    assert quality.outside(astronaut, 255 - astronaut, box).share == pytest.approx(1, abs=0.01)
    whole = np.array([0, 0, 512, 512], np.float32)
    assert quality.outside(astronaut, changed, whole).share == 0  # nothing is outside


def test_a_picture_of_another_size_is_compared_as_it_is_shown(astronaut):
    half = np.asarray(Image.fromarray(astronaut).resize((256, 256), Image.Resampling.LANCZOS))
    shown = quality.shown_at(half, (512, 512))
    assert shown.shape == astronaut.shape and 20 < quality.compare(astronaut, shown).psnr_db < 40
    assert quality.shown_at(astronaut, (512, 512)) is astronaut


def test_pictures_of_different_size_are_not_compared(astronaut):
    with pytest.raises(ValueError, match="different sizes"):
        quality.compare(astronaut, astronaut[1:])


def test_ssimulacra2_falls_with_jpeg_quality_along_its_scale(astronaut):
    """Its authors place JPEG of quality 90 at about 90 and of quality 50 at about 70."""
    scores = [
        quality.ssimulacra2_reference(astronaut, encoded(astronaut, q, "4:2:0")) for q in (95, 90, 75, 50, 20)
    ]
    assert scores == sorted(scores, reverse=True)
    assert 85 < scores[0] < 95 and 55 < scores[3] < 80


def test_the_package_is_the_reference_where_there_is_room_for_six_scales(astronaut):
    changed = encoded(astronaut[:230, :225], 70)
    package = quality.ssimulacra2(astronaut[:230, :225], changed)
    reference = quality.ssimulacra2_reference(astronaut[:230, :225], changed)
    assert reference == pytest.approx(package, abs=1e-9)


def test_the_package_forgives_grey_noise_on_small_pictures_and_the_reference_does_not(astronaut):
    """The package drops the sixth scale and does not move the weights; why both figures are reported."""
    face = astronaut[50:220, 160:284]
    signs = np.random.default_rng(0).choice([-8, 8], face.shape[:2])[..., None]
    noisy = np.clip(face + signs, 0, 255).astype(np.uint8)
    assert quality.ssimulacra2(face, noisy) > quality.ssimulacra2_reference(face, noisy) + 10


def test_a_crop_is_the_enlarged_box_cut_at_the_rim(astronaut):
    assert quality.crop(astronaut, np.array([100, 100, 200, 200], np.float32)).shape == (130, 130, 3)
    assert quality.crop(astronaut, np.array([0, 0, 100, 100], np.float32)).shape == (115, 115, 3)


def test_clean_and_placebo_reach_the_figures_of_the_baselines(shared_data):
    """design/baselines.md: clean 95 / 93, SSIM .997, PSNR 49.9; random signs of 8 levels 76 / 30, .772, 30.4.

    Other subjects and 12 of them, so the tolerance is about two standard errors.
    """
    detector = YuNet(shared_data / "weights" / "yunet_n.onnx")
    rows = []
    for seed, sample in enumerate(read_samples(shared_data / "lfw-dev", "tuning", 12).probes):
        pixels = decode(sample.probe)
        found = detector.find(pixels)
        box = found.boxes[main_face(found, pixels.shape[:2])]
        signs = np.random.default_rng(seed).choice([-8, 8], pixels.shape)
        inside = arms.ellipse(pixels.shape[:2], box)[..., None]
        for arm in (pixels, np.clip(pixels + signs * inside, 0, 255).astype(np.uint8)):
            written = encoded(arm, 95)
            face = quality.compare(quality.crop(pixels, box), quality.crop(written, box))
            rows.append([quality.ssimulacra2(pixels, written), face.ssimulacra2, face.ssim, face.psnr_db])
    clean, noise = np.mean(rows[::2], axis=0), np.mean(rows[1::2], axis=0)
    tolerance = np.array([2, 3, 0.003, 1.0])
    assert (np.abs(clean - [95, 93, 0.997, 49.9]) < tolerance).all(), clean
    assert (np.abs(noise - [76, 30, 0.772, 30.4]) < [3, 12, 0.04, 0.6]).all(), noise
