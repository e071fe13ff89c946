"""A head on known templates: what a tool did to them is known, so is what must come out."""

import numpy as np
import pytest

from evaluation import finetuned
from evaluation.matchers import similarities
from evaluation.samples import SamplesUnusable

D = 24


def people(count, seed):
    return np.random.default_rng(seed).normal(size=(count, D))


def photo(truth, seed, noise=0.25):
    return (truth + noise * np.random.default_rng(seed).normal(size=truth.shape)).astype(np.float32)


def rotation(seed):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(D, D)))[0]


def rank_one(probes, gallery):
    return float((similarities(probes, gallery, "cosine").argmax(1) == np.arange(len(probes))).mean())


def trained(treat, count=100, **options):
    known = people(count, 0)
    pairs = photo(people(200, 5), 6), photo(people(200, 5), 7)
    return finetuned.train(treat(photo(known, 1)), photo(known, 2), pairs, **options)


@pytest.mark.parametrize("unit", [True, False])
def test_a_rotated_space_is_turned_back_for_people_it_was_not_trained_on(unit):
    """A tool that rotates every template hides everybody from the plain matcher and nobody from the head."""
    turn = rotation(3)

    def treat(templates):
        return (templates @ turn).astype(np.float32)

    head = trained(treat, unit=unit)
    unknown = people(50, 10)
    probes, gallery = treat(photo(unknown, 11)), photo(unknown, 12)
    assert rank_one(probes, gallery) < 0.1
    assert rank_one(head.of_treated(probes), head.of_clean(gallery)) > 0.9
    assert head.record["apart_in_cross_validation"] > head.record["apart_without_a_head"] + 2


def test_a_common_shift_is_taken_away():
    def treat(templates):
        return (templates + 5 * np.eye(D)[0]).astype(np.float32)

    head = trained(treat)
    unknown = people(50, 10)
    probes, gallery = treat(photo(unknown, 11)), photo(unknown, 12)
    assert rank_one(head.of_treated(probes), head.of_clean(gallery)) >= rank_one(probes, gallery) > 0.5
    alike = similarities(head.of_treated(probes), head.of_clean(gallery), "cosine")
    assert np.diag(alike).mean() > np.diag(similarities(probes, gallery, "cosine")).mean() + 0.2


def test_directions_in_which_photos_of_one_person_differ_count_less():
    loud = np.ones(D)
    loud[:6] = 25

    def taken(truth, seed):
        return (truth + 0.25 * loud * np.random.default_rng(seed).normal(size=truth.shape)).astype(np.float32)

    known, many, unknown = people(60, 0), people(300, 5), people(80, 10)
    head = finetuned.train(taken(known, 1), taken(known, 2), (taken(many, 6), taken(many, 7)), unit=False)
    probes, gallery = taken(unknown, 11), taken(unknown, 12)
    assert head.record["shrinkage"] < 1
    assert rank_one(head.of_treated(probes), head.of_clean(gallery)) > rank_one(probes, gallery) + 0.3


def test_from_constants_it_learns_nothing_and_likens_them_to_everybody():
    def treat(templates):
        return np.full_like(templates, 0.3)

    head = trained(treat)
    assert head.record["ridge"] is None
    probes, gallery = treat(photo(people(4, 1), 1)), photo(people(9, 2), 2)
    alike = similarities(head.of_treated(probes), head.of_clean(gallery), "cosine")
    assert np.ptp(alike) == pytest.approx(0, abs=1e-6)


def test_too_few_or_unpaired_templates_are_refused():
    one = photo(people(20, 0), 1)
    for arguments in ((one[:9], one[:9], (one, one)), (one, one[:10], (one, one)), (one, one, (one, one[:5]))):
        with pytest.raises(SamplesUnusable, match="rows must belong together"):
            finetuned.train(*arguments)
