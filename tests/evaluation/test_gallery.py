"""Searches whose answer is known, and galleries that must be refused."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.gallery import GalleryUnusable, Maker, enrol, load, refuse_overlap
from evaluation.matchers import TemplateBroken, similarities

COSINE = Maker("mobilefacenet", "ab" * 32, "yunet", "cosine")
DISTANCE = Maker("dlib_cpp", "cd" * 32, "yunet", "euclidean")
AXES = np.eye(4, dtype=np.float32)


def random_templates(n, d=16, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def test_candidates_are_ranked_subjects_with_their_similarity():
    gallery = enrol(AXES * 3, ["d", "c", "b", "a"], COSINE)
    found = gallery.search(np.array([[3, 4, 0, 0]], np.float32), top=2)
    assert gallery.subjects[found.subjects].tolist() == [["c", "d"]]
    np.testing.assert_allclose(found.similarities, [[0.8, 0.6]], atol=1e-6)


def test_a_threshold_shortens_the_list_and_investigation_does_not():
    gallery = enrol(AXES, ["d", "c", "b", "a"], COSINE)
    probe = np.array([[3, 4, 0, 0]], np.float32)
    strict = gallery.search(probe, top=4, threshold=0.7)
    assert gallery.subjects[strict.subjects[0, 0]] == "c"
    assert strict.subjects[0, 1:].tolist() == [-1, -1, -1] and np.isneginf(strict.similarities[0, 1:]).all()
    assert (gallery.search(probe, top=4).subjects >= 0).all()


def test_a_subject_with_several_templates_stands_in_the_list_once_with_the_best():
    gallery = enrol(AXES, ["one", "two", "one", "one"], COSINE)
    found = gallery.search(np.array([[1, 2, 3, 4]], np.float32), top=2)
    assert gallery.subjects[found.subjects].tolist() == [["one", "two"]]
    np.testing.assert_allclose(found.similarities, [[4 / 30**0.5, 2 / 30**0.5]], atol=1e-6)
    assert gallery.ahead(np.array([[1, 2, 3, 4]], np.float32), np.zeros(1, np.float32)).tolist() == [2]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), of=st.sampled_from([COSINE, DISTANCE]), people=st.integers(2, 40))
def test_the_search_is_the_plain_comparison_of_everything(seed, of, people):
    generator = np.random.default_rng(seed)
    templates, probes = random_templates(80, seed=seed), random_templates(5, seed=seed + 1)
    names = [f"{number:02d}" for number in np.r_[np.arange(people), generator.integers(0, people, 80 - people)]]
    gallery = enrol(templates, names, of)
    scores = similarities(probes, templates, of.metric)
    by_name = {name: scores[:, [n == name for n in names]].max(axis=1) for name in set(names)}
    hidden = "00"
    found = gallery.search(probes, top=7, without=[hidden] * 5)
    for i in range(5):
        expected = sorted((-best[i], name) for name, best in by_name.items() if name != hidden)[:7]
        assert gallery.subjects[found.subjects[i][: len(expected)]].tolist() == [name for _, name in expected]
        np.testing.assert_allclose(found.similarities[i][: len(expected)], [-score for score, _ in expected], atol=2e-6)
    middle = np.median(scores, axis=1).astype(np.float32)
    ahead = [sum(best[i] > middle[i] for name, best in by_name.items() if name != hidden) for i in range(5)]
    assert gallery.ahead(probes, middle, without=[hidden] * 5).tolist() == ahead


def test_everybody_is_counted_when_the_gallery_takes_several_blocks(monkeypatch):
    monkeypatch.setattr("evaluation.gallery.BLOCK", 7)
    templates, probes = random_templates(100), random_templates(3, seed=1)
    names = [f"{number // 3:02d}" for number in range(100)]
    scores = similarities(probes, templates, "cosine")
    best = np.stack([scores[:, i : i + 3].max(axis=1) for i in range(0, 100, 3)], axis=1)
    ahead = enrol(templates, names, COSINE).ahead(probes, np.full(3, 0.1, np.float32), without=["05", None, "99"])
    assert ahead.tolist() == [(np.delete(best[0], 5) > 0.1).sum(), *(best[1:] > 0.1).sum(axis=1)]


def test_near_equal_templates_keep_their_order_by_distance():
    """In single precision the squares of two long vectors cancel: all of these would be at distance 0."""
    base = np.full((1, 64), 30, np.float32)
    near = np.repeat(base, 3, axis=0)
    near[:, 0] += [0.03, 0.01, 0.02]
    found = enrol(near, ["far", "near", "middle"], DISTANCE).search(base, top=3)
    assert found.subjects[0].tolist() == [2, 1, 0]  # names in order: far, middle, near
    np.testing.assert_allclose(found.similarities, [[-0.01, -0.02, -0.03]], rtol=1e-3)


def test_a_saved_gallery_gives_the_same_answers(tmp_path):
    templates = random_templates(20)
    drawn = np.arange(20) >= 10
    gallery = enrol(templates, [f"{n:02d}" for n in range(20)], COSINE, synthetic=drawn)
    gallery.save(tmp_path / "gallery.npz")
    again = load(tmp_path / "gallery.npz", COSINE)
    assert again.synthetic.tolist() == drawn.tolist() and again.bytes == gallery.bytes
    assert np.array_equal(again.search(templates, top=3).subjects, gallery.search(templates, top=3).subjects)
    assert [path.name for path in tmp_path.iterdir()] == ["gallery.npz"]


def test_a_gallery_of_another_matcher_or_schema_is_not_loaded(tmp_path, monkeypatch):
    path = tmp_path / "gallery.npz"
    enrol(AXES, list("abcd"), COSINE).save(path)
    with pytest.raises(GalleryUnusable, match="made by .*mobilefacenet.*, not by .*dlib_cpp.*Nothing was loaded"):
        load(path, DISTANCE)
    monkeypatch.setattr("evaluation.gallery.SCHEMA", "facecloak-gallery/2")
    with pytest.raises(GalleryUnusable, match="schema is not facecloak-gallery/2; enrol again"):
        load(path, COSINE)


def test_damaged_files_are_refused_and_pickles_are_not_opened(tmp_path):
    path = tmp_path / "gallery.npz"
    for content in (b"", b"no gallery"):
        path.write_bytes(content)
        with pytest.raises(GalleryUnusable, match="not a gallery"):
            load(path, COSINE)
    enrol(AXES, list("abcd"), COSINE).save(path)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(GalleryUnusable, match="not a gallery"):
        load(path, COSINE)
    np.savez(path, header=np.array([{"schema": "facecloak-gallery/1"}], object))
    with pytest.raises(GalleryUnusable, match="not a gallery"):
        load(path, COSINE)
    with pytest.raises(GalleryUnusable, match="not a gallery"):
        load(tmp_path / "absent.npz", COSINE)


def test_arrays_that_do_not_fit_together_are_refused(tmp_path):
    header = json.dumps({"schema": "facecloak-gallery/1", "matcher": "mobilefacenet", "weights_sha256": "ab" * 32,
                         "detector": "yunet", "metric": "cosine"})
    np.savez(tmp_path / "g.npz", header=np.array(header), subjects=np.array(["a", "b"]), synthetic=np.zeros(2, bool),
             templates=AXES, starts=np.array([0, 9]))
    with pytest.raises(GalleryUnusable, match="do not fit together"):
        load(tmp_path / "g.npz", COSINE)


def test_a_gallery_of_one_subject_is_refused():
    with pytest.raises(GalleryUnusable, match="1 subjects: there is nobody to be mistaken for"):
        enrol(AXES, ["a"] * 4, COSINE)
    with pytest.raises(GalleryUnusable, match="3 names"):
        enrol(AXES, list("abc"), COSINE)
    with pytest.raises(GalleryUnusable, match="both real and synthetic"):
        enrol(AXES, ["a", "a", "b", "c"], COSINE, synthetic=np.array([True, False, False, False]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0])
def test_templates_that_cannot_be_compared_are_refused(bad):
    broken = AXES.copy()
    broken[2] = bad
    with pytest.raises(TemplateBroken, match="not finite or is zero"):
        enrol(broken, list("abcd"), COSINE)
    gallery = enrol(AXES, list("abcd"), COSINE)
    with pytest.raises(TemplateBroken):
        gallery.search(broken, top=1)
    with pytest.raises(GalleryUnusable, match="made by another matcher"):
        gallery.search(np.ones((1, 3), np.float32), top=1)


def test_people_in_two_roles_are_refused():
    refuse_overlap({"probes": ["a"], "strangers": ["b"], "enrolled": ["c"]})
    with pytest.raises(GalleryUnusable, match="1 subjects are both probes and enrolled: a"):
        refuse_overlap({"probes": ["a", "b"], "strangers": ["c"], "enrolled": ["a"]})
