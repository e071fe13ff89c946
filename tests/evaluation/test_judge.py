"""The judge on real photos: arms whose verdict is known."""

import numpy as np
import pytest
from PIL import Image

from evaluation import arms
from evaluation.faces import decode
from evaluation.judge import enrolled_instead, judge, linkability, look, open_bench
from evaluation.publishing import publish
from evaluation.samples import SamplesUnusable
from tests.evaluation.conftest import SUBJECTS


@pytest.fixture(scope="module")
def bench(small_pack, small_cache):
    return open_bench(
        small_pack,
        "judging",
        cache=small_cache,
        subjects=SUBJECTS,
        matcher_names=["edgeface_xxs"],
        photos="people",
    )


def clean_files(bench):
    return {sample: sample.probe for sample in bench.samples.probes}


def rates(result):
    return result["matchers"]["edgeface_xxs"]


def test_clean_photos_are_matched_and_ranked_first(bench):
    clean = judge(clean_files(bench), bench)
    assert clean["not_found"] == 0 and clean["equal_to_original"] == SUBJECTS
    assert rates(clean)["tar"]["1e-3"]["value"] > 0.9
    assert rates(clean)["rank_1"]["value"] == rates(clean)["self_tar"]["1e-3"]["value"] == 1
    assert clean["quality"]["face"]["ssimulacra2"] == 100
    assert clean["quality"]["outside_face"] == {"bytes_changed": 0, "share_changed": 0}


def test_the_no_op_arm_equals_clean_exactly(bench, tmp_path):
    copies = {
        sample: arms.no_op(path, tmp_path / sample.subject) for sample, path in clean_files(bench).items()
    }
    assert judge(copies, bench) == judge(clean_files(bench), bench)


def test_templates_from_the_cache_give_the_same_numbers(bench):
    before = judge(clean_files(bench), bench, with_quality=False)
    bench.reader.save()
    assert judge(clean_files(bench), bench, with_quality=False) == before


def test_a_solid_box_is_not_found_and_said_so(bench, tmp_path):
    boxed = {s: arms.solid_box(p, tmp_path, bench.boxes[s]) for s, p in clean_files(bench).items()}
    result = judge(boxed, bench, with_quality=False)
    assert result["not_found"] >= SUBJECTS - 1
    assert rates(result)["tar"]["1e-3"]["value"] == rates(result)["rank_1"]["value"] == 0


def test_a_face_lost_counts_as_no_match_and_stays_out_of_the_other_rate(bench, tmp_path):
    files = clean_files(bench)
    lost = bench.samples.probes[0]
    files[lost] = tmp_path / "grey.png"
    Image.new("RGB", (250, 250), (120, 120, 120)).save(files[lost])
    result = judge(files, bench, with_quality=False)
    clean = judge(clean_files(bench), bench, with_quality=False)
    assert result["not_found"] == 1
    assert (
        rates(result)["tar"]["1e-2"]["value"]
        <= rates(clean)["tar"]["1e-2"]["value"] * (1 - 1 / SUBJECTS) + 1e-9
    )
    assert rates(result)["tar_found"]["1e-2"]["value"] >= rates(result)["tar"]["1e-2"]["value"]


def test_the_face_of_somebody_else_is_not_matched(bench):
    probes = bench.samples.probes
    swapped = {sample: probes[(i + 1) % len(probes)].probe for i, sample in enumerate(probes)}
    assert rates(judge(swapped, bench, with_quality=False))["tar"]["1e-3"]["value"] == 0


def test_a_published_file_of_half_the_size_is_still_the_same_face(bench, tmp_path):
    sample = bench.samples.probes[0]
    path = tmp_path / "half.png"
    Image.fromarray(decode(sample.probe)).resize((125, 125), Image.Resampling.LANCZOS).save(path)
    result = judge({sample: path}, bench)
    assert result["not_found"] == 0 and rates(result)["self_tar"]["1e-2"]["value"] == 1
    assert result["quality"]["photo"]["ms_ssim"] > 0.9


def test_an_empty_arm_is_refused(bench):
    with pytest.raises(SamplesUnusable, match="an arm without files"):
        judge({}, bench)


def test_rates_that_this_many_strangers_cannot_show_are_left_out(bench):
    assert set(bench.galleries["edgeface_xxs"].thresholds) == {"1e-2", "1e-3"}


def test_publishing_reaches_the_judge(bench, tmp_path):
    """A figure said to be after JPEG must differ from the one before it."""
    published = {s: publish(p, tmp_path, "jpeg50") for s, p in clean_files(bench).items()}
    before, after = (judge(files, bench, with_quality=False) for files in (clean_files(bench), published))
    assert rates(after)["mean_mated_similarity"] != rates(before)["mean_mated_similarity"]
    assert np.isclose(
        rates(after)["mean_mated_similarity"], rates(before)["mean_mated_similarity"], atol=0.05
    )


def test_searching_returns_the_mates_of_clean_photos_and_nobody_behind_a_box(bench, tmp_path):
    clean = judge(clean_files(bench), bench, with_quality=False)
    boxed = {s: arms.solid_box(p, tmp_path, bench.boxes[s]) for s, p in clean_files(bench).items()}
    lost = judge(boxed, bench, with_quality=False)
    # 304 strangers' searches show an FPIR of 0.01 and none of 0.003.
    assert set(rates(clean)["fnir"]) == {"0.01"}
    assert rates(clean)["fnir"]["0.01"]["value"] == 0 and rates(lost)["fnir"]["0.01"]["value"] == 1
    assert clean["failure_to_enrol"]["value"] == 0
    assert lost["failure_to_enrol"]["value"] == lost["not_found"] / SUBJECTS
    assert set(lost["not_found_by"]) == {"yunet", "hog", "mtcnn"} and lost["not_found_by"]["yunet"] == lost["not_found"]
    assert clean["not_found_by"] == {"yunet": 0, "hog": 0, "mtcnn": 0} and lost["not_found_by"]["hog"] >= SUBJECTS - 1


def test_clean_photos_of_one_person_find_each_other_and_greyed_ones_do_not(bench, tmp_path):
    photos_of = {s.subject: [s.probe, *s.mates] for s in bench.samples.probes}
    stranger = next(subject for subject in bench.samples.distractors if subject not in photos_of)
    with_stranger = photos_of | {stranger: [bench.samples.distractors[stranger]]}
    clean = linkability(with_stranger, bench)["matchers"]["edgeface_xxs"]
    assert clean["tar_at_thresholds_of_clean_photos"]["1e-3"]["value"] > 0.9
    assert clean["tar_at_thresholds_of_these_photos"]["1e-2"]["value"] > 0.9
    grey = tmp_path / "grey.png"
    Image.new("RGB", (250, 250), (120, 120, 120)).save(grey)
    lost = linkability({subject: [grey, grey] for subject in photos_of}, bench)
    assert lost["not_found"] == lost["photos"] == 2 * SUBJECTS
    assert lost["matchers"]["edgeface_xxs"]["tar_at_thresholds_of_clean_photos"]["1e-2"]["value"] == 0


def test_in_the_other_role_clean_files_are_returned_and_those_without_a_face_never(bench, tmp_path):
    files = clean_files(bench)
    lost = bench.samples.probes[0]
    files[lost] = tmp_path / "grey.png"
    Image.new("RGB", (250, 250), (120, 120, 120)).save(files[lost])
    clean = enrolled_instead(look(clean_files(bench), bench), bench)["edgeface_xxs"]
    one_lost = enrolled_instead(look(files, bench), bench)["edgeface_xxs"]
    assert clean["rank_1"]["value"] == 1 and clean["fnir"]["0.01"]["value"] == 0
    assert one_lost["rank_50"]["value"] == 1 - 1 / SUBJECTS


def test_in_the_other_role_the_searched_is_the_clean_mate(bench):
    """Enrolling the face of somebody else, her own clean photos rank hundreds before him."""
    probes = bench.samples.probes
    swapped = {sample: probes[(i + 1) % len(probes)].probe for i, sample in enumerate(probes)}
    assert enrolled_instead(look(swapped, bench), bench)["edgeface_xxs"]["rank_1"]["value"] == 0
