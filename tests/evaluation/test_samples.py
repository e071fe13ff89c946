"""Roles never overlap, and what a name's role is does not depend on who else is in the folder."""

import pytest
from PIL import Image

from evaluation.samples import MATES, SamplesUnusable, read_samples, split_of


def folder_of(tmp_path, **photos_of):
    for subject, photos in photos_of.items():
        (tmp_path / subject).mkdir()
        for number in range(photos):
            Image.new("RGB", (4, 4)).save(tmp_path / subject / f"{subject}_{number:04d}.png")
    return tmp_path


def test_a_probe_has_three_mates_and_is_nobodys_distractor(tmp_path):
    folder = folder_of(tmp_path, **{f"Person_{i}": 2 + i % 4 for i in range(40)})
    samples = read_samples(folder, "judging")
    assert all(len(s.mates) == MATES and s.probe not in s.mates for s in samples.probes)
    assert not {s.probe for s in samples.probes} & set(samples.distractors.values())
    assert len(samples.distractors) == 40


def test_tuning_and_judging_share_no_subject(tmp_path):
    folder = folder_of(tmp_path, **{f"Person_{i}": 4 for i in range(40)})
    tuning, judging = (
        {s.subject for s in read_samples(folder, split).probes} for split in ("tuning", "judging")
    )
    assert tuning and judging and not tuning & judging
    assert len(tuning | judging) == 40


def test_a_role_depends_on_the_name_alone():
    """These two must never change sides: a cloak may have been tuned on the one and not on the other."""
    assert split_of("Ai_Sugiyama") == "tuning"
    assert split_of("Zico") == "judging"


def test_the_first_subjects_of_a_longer_run_are_the_shorter_run(tmp_path):
    folder = folder_of(tmp_path, **{f"Person_{i}": 4 for i in range(40)})
    assert read_samples(folder, "judging", 9).probes[:5] == read_samples(folder, "judging", 5).probes


def test_subjects_looked_at_before_are_left_out(tmp_path):
    folder = folder_of(tmp_path, **{f"Person_{i}": 4 for i in range(40)})
    first, rest = read_samples(folder, "judging", 9), read_samples(folder, "judging", 5, skip=9)
    assert len(rest.probes) == 5
    assert not {s.subject for s in first.probes} & {s.subject for s in rest.probes}
    assert first.distractors == rest.distractors


def test_too_few_subjects_are_refused_by_number(tmp_path):
    folder = folder_of(tmp_path, Zico=4, Thalia=1)
    with pytest.raises(SamplesUnusable, match="1 judging subjects have more than 3 photos, 150 wanted"):
        read_samples(folder, "judging", 150)


def test_a_gallery_of_one_subject_is_refused(tmp_path):
    with pytest.raises(SamplesUnusable, match="only one subject"):
        read_samples(folder_of(tmp_path, Zico=4), "judging")


def test_lfw_dev_gives_the_sizes_the_protocol_needs(shared_data):
    tuning, judging = (read_samples(shared_data / "lfw-dev", split) for split in ("tuning", "judging"))
    assert len(tuning.probes) >= 55 and len(judging.probes) >= 150
    assert len(judging.distractors) == 3412
