"""The pairs file, and matchers that are known to be good and known to be broken."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluation import pairs, record
from evaluation.__main__ import main
from evaluation.pairs import measure, read_pairs, warnings
from evaluation.reading import Reader
from evaluation.samples import SamplesUnusable


def write_pairs(tmp_path, text):
    for subject, photos in {"A": 2, "B": 2, "C": 1}.items():
        (tmp_path / subject).mkdir(exist_ok=True)
        for number in range(1, photos + 1):
            Image.new("RGB", (4, 4)).save(tmp_path / subject / f"{subject}_{number:04d}.jpg")
    (tmp_path / "pairs.txt").write_text(text)
    return tmp_path / "pairs.txt"


def test_pairs_and_folds_are_read_as_lfw_writes_them(tmp_path):
    found = read_pairs(write_pairs(tmp_path, "2\t3\nA\t1\t2\nA\t1\tB\t2\nA\t2\tC\t1\nB\t1\t2\nB\t1\tC\t1\n"))
    assert found.same.tolist() == [True, False, False, True, False]
    assert found.fold.tolist() == [0, 0, 0, 1, 1]
    assert [path.stem for path in found.first] == ["A_0001", "A_0001", "A_0002", "B_0001", "B_0001"]
    assert [path.stem for path in found.second] == ["A_0002", "B_0002", "C_0001", "B_0002", "C_0001"]


@pytest.mark.parametrize("text, said", [
    ("1\t0\nA\t1\tx\n", "line 2: not a pair"),
    ("1\t0\nA\t1\n", "line 2: not a pair"),
    ("2\t0\nA\t1\t2\n", "says .2.t0., it holds 1 same and 0 different"),
    ("1\t0\nA\t1\t7\n", r"A_0007\.jpg: no such photo"),
])  # fmt: skip
def test_a_file_that_is_no_list_of_pairs_is_refused(tmp_path, text, said):
    with pytest.raises(SamplesUnusable, match=said):
        read_pairs(write_pairs(tmp_path, text))


def test_the_command_says_what_is_wrong_and_writes_nothing(tmp_path, capsys):
    arguments = ["pairs", "--data", str(tmp_path), "--photos", "people", "--out", str(tmp_path / "pairs.json")]
    assert main(arguments) == 2
    assert "pairs-dev.txt: no list of pairs. Nothing was judged." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_lfw_dev_keeps_the_ten_folds_and_the_868_pairs_of_the_first_three(shared_data):
    found = read_pairs(shared_data / "lfw-dev" / "pairs-dev.txt")
    assert (found.same.sum(), (~found.same).sum(), found.fold.max()) == (1764, 1062, 9)
    assert (found.fold < pairs.KNOWN_FOLDS).sum() == 868


def few(shared_data, per_kind=6):
    """Two folds of a dozen pairs each."""
    whole = read_pairs(shared_data / "lfw-dev" / "pairs-dev.txt")
    chosen = [i for fold in (0, 4) for same in (True, False)
              for i in np.flatnonzero((whole.fold == fold) & (whole.same == same))[:per_kind]]  # fmt: skip
    return pairs.Pairs(
        tuple(whole.first[i] for i in chosen), tuple(whole.second[i] for i in chosen), whole.same[chosen],
        (whole.fold[chosen] > 0).astype(np.int64),
    )  # fmt: skip


def test_both_detectors_carry_a_good_matcher(shared_data, tmp_path, monkeypatch):
    monkeypatch.setattr(pairs.metrics, "threshold_at", lambda fmr, scores: float(scores.max()))
    found = measure(Reader(shared_data / "weights", ["mobilefacenet"], tmp_path), few(shared_data))
    for detector in ("yunet", "hog"):
        one = found["detectors"][detector]
        assert one["photos_not_detected"] == one["pairs_not_detected"] == 0
        assert one["matchers"]["mobilefacenet"]["accuracy"]["mean"] > 0.9
        assert one["matchers"]["mobilefacenet"]["mean_similarity"]["same"] > 0.5
    assert found["photos"] == len({*few(shared_data).first, *few(shared_data).second})


def test_a_matcher_worse_than_it_is_known_to_be_is_named():
    good = {"mobilefacenet": {"first_folds": {"accuracy": 0.99, "eer": 0.01, "tar": 0.99}}}
    assert warnings(good) == []
    blind = {"mobilefacenet": {"first_folds": {"accuracy": 0.985, "eer": 0.02, "tar": 0.99}}, "dlib_cpp": {}}
    (accuracy, eer) = warnings(blind)
    assert accuracy.startswith("mobilefacenet: accuracy is 0.9850, known is 0.9954") and "eer" in eer


def test_the_committed_accuracy_is_within_a_point_of_what_is_known():
    result = record.read(Path(record.__file__).parent / "results" / "pairs.json")
    found = result["detectors"]["yunet"]
    assert result["warnings"] == [] and found["photos_not_detected"] == 0
    for name, known in pairs.KNOWN.items():
        here = found["matchers"][name]
        assert here["first_folds"]["pairs"] == 868
        assert all(abs(here["first_folds"][figure] - known[figure]) < pairs.TOLERANCE for figure in known)
    assert all(one["accuracy"]["mean"] > 0.985 for one in found["matchers"].values())
