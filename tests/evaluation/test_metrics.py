"""Known answers, counted by hand."""

import numpy as np
import pytest

from evaluation import metrics


def test_the_threshold_lets_through_exactly_the_allowed_share_of_strangers():
    scores = np.arange(1000, dtype=np.float32)
    threshold = metrics.threshold_at(1e-2, scores)
    assert threshold == 989
    assert (scores > threshold).sum() == 10


def test_the_threshold_never_exceeds_the_rate_when_scores_are_tied():
    scores = np.array([0.9] * 20 + [0.1] * 80, np.float32)
    assert (scores > metrics.threshold_at(0.1, scores)).mean() <= 0.1


def test_a_rate_that_the_scores_cannot_show_is_refused():
    with pytest.raises(ValueError, match="cannot show a false match rate of 0.0001; it needs 10000"):
        metrics.threshold_at(1e-4, np.zeros(9999, np.float32))


def test_scores_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match="not a number"):
        metrics.threshold_at(0.5, np.array([0.1, np.nan, 0.3], np.float32))


def test_match_rates_leave_out_mates_that_could_not_be_enrolled():
    mated = np.array([[0.9, 0.2, np.nan], [0.9, 0.8, 0.7], [-np.inf, -np.inf, -np.inf]], np.float32)
    assert metrics.match_rates(mated, 0.5).tolist() == [0.5, 1.0, 0.0]


def test_a_similarity_at_the_threshold_is_no_match():
    assert metrics.match_rates(np.array([[0.5]], np.float32), 0.5).tolist() == [0.0]


def test_rank_is_one_more_than_the_strangers_ahead_of_the_best_mate():
    mated = np.array([[0.1, 0.6], [0.9, 0.1], [0.5, np.nan], [-np.inf, -np.inf]], np.float32)
    others = np.array([[0.7, 0.8, 0.2], [0.7, 0.8, 0.2], [0.5, 0.5, 0.6], [0, 0, 0]], np.float32)
    # Third: two strangers tie with the mate and the tie goes to the mate. Fourth: no face, so behind all 5.
    assert metrics.mate_ranks(mated, others).tolist() == [3, 1, 2, 6]


def test_the_interval_covers_the_mean_and_agrees_with_the_binomial_error():
    rate = metrics.rate(np.array([1.0] * 30 + [0.0] * 70), seed=1)
    assert rate.value == 0.3
    # 1.96 * sqrt(.3 * .7 / 100) = .09; design/baselines.md says about +-.09 at n = 100.
    assert rate.low == pytest.approx(0.21, abs=0.015)
    assert rate.high == pytest.approx(0.39, abs=0.015)


def test_the_interval_of_a_constant_is_a_point():
    rate = metrics.rate(np.ones(5), seed=1)
    assert (rate.value, rate.low, rate.high) == (1.0, 1.0, 1.0)
