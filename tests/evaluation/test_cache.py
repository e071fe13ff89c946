import numpy as np

from evaluation.cache import Table


def test_a_table_gives_back_what_was_saved(tmp_path):
    table = Table(tmp_path, "faces", "one")
    table.put("a", np.ones((1, 3), np.float32))
    table.put("b", np.arange(6, dtype=np.float32).reshape(2, 3))
    table.save()
    again = Table(tmp_path, "faces", "one")
    assert np.array_equal(again.get("a"), np.ones((1, 3)))
    assert np.array_equal(again.get("b"), np.arange(6).reshape(2, 3))
    assert again.get("c") is None


def test_a_changed_judge_starts_an_empty_table(tmp_path):
    table = Table(tmp_path, "faces", "one")
    table.put("a", np.ones((1, 3), np.float32))
    table.save()
    assert Table(tmp_path, "faces", "another").get("a") is None


def test_two_runs_that_save_lose_nothing(tmp_path):
    first, second = Table(tmp_path, "faces", "one"), Table(tmp_path, "faces", "one")
    first.put("a", np.ones((1, 3), np.float32))
    second.put("b", np.zeros((1, 3), np.float32))
    first.save()
    second.save()
    merged = Table(tmp_path, "faces", "one")
    assert merged.get("a") is not None and merged.get("b") is not None
