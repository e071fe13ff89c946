"""All adaptive attackers in one run, on few people."""

import json
from dataclasses import replace

import pytest

from evaluation import adaptive_arms, table
from evaluation.adaptive_arms import Plan, assign
from evaluation.faces import YuNet
from evaluation.reading import Reader
from evaluation.samples import SamplesUnusable, split_of

FEW = Plan(arms=("clean", "naive-blur"), subjects=6, strangers=170, learnt=12, clean_pairs=12, named=3,
           photos_each=10, passes_on_redactions=1)


def crowd(folder, *sizes):
    """So many people with each number of photos, empty files all."""
    for size, count in sizes:
        for k in range(count):
            (folder / f"S{size}_{k}").mkdir(parents=True)
            for number in range(size):
                (folder / f"S{size}_{k}" / f"S{size}_{k}_{number:04d}.jpg").touch()
    return folder


def test_nobody_has_two_roles_and_the_searched_are_of_the_split(tmp_path):
    plan = Plan(subjects=20, strangers=30, learnt=20, clean_pairs=25, named=4)
    people = assign(crowd(tmp_path, (1, 40), (2, 15), (3, 15), (5, 40), (12, 12)), "judging", plan, lambda path: True)
    roles = [set(people.searched), set(people.learnt), set(people.strangers)]
    assert [len(role) for role in roles] == [20, 20, 30] and len(set().union(*roles)) == 70
    assert {split_of(subject) for subject in [*people.searched, *people.named]} == {"judging"}
    assert all(len(set(paths)) == 4 for paths in people.searched.values())
    assert all(len(set(paths)) == 10 for paths in people.named.values())
    assert all(treated != other for treated, other in people.learnt.values())


def test_a_photo_without_a_face_gives_nobody_a_role_and_too_few_are_refused(tmp_path):
    plan = Plan(subjects=2, strangers=5, learnt=3, clean_pairs=3, named=1, photos_each=5)
    folder = crowd(tmp_path, (1, 6), (2, 6), (5, 12))
    people = assign(folder, "judging", plan, lambda path: not path.parent.name.startswith("S1_0"))
    assert "S1_0" not in people.strangers and len(people.strangers) == 5
    with pytest.raises(SamplesUnusable, match="5 people can be strangers, 6 wanted"):
        assign(folder, "judging", replace(plan, strangers=6), lambda path: path.parent.name != "S1_0")


@pytest.fixture(scope="module")
def run(shared_data, tmp_path_factory):
    """One small run, and the same run again with the engine taken away: what is finished must not be made twice."""
    folder = tmp_path_factory.mktemp("adaptive")
    weights = shared_data / "weights"
    detector = YuNet(weights / "yunet_n.onnx")

    def measure(plan):
        reader = Reader(weights, ["mobilefacenet"], folder / "cache")
        return adaptive_arms.measure(reader, detector, shared_data / "lfw-dev", "tuning", plan, folder / "work")

    first = measure(FEW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adaptive_arms.arms, "make", None)
        again = measure(FEW)
    with pytest.raises(SamplesUnusable, match="another plan"):
        measure(replace(FEW, seed=1))
    return first, again, folder


def test_every_attacker_met_every_arm_and_finished_cells_are_not_done_again(run):
    first, again, folder = run
    assert first == again and len(list((folder / "work" / "cells").glob("*.json"))) == 2 + 8
    assert set(first["arms"]["clean"]) == {"as it is", "classifier"}
    attackers = {"as it is", "network", "head", "parrot", "averaged", "averaged parrot", "classifier"}
    assert set(first["arms"]["naive-blur"]) == {*attackers, "sharpened"}
    json.dumps(first, allow_nan=False)


def test_clean_faces_are_found_and_the_blurred_ones_seldom_in_a_clear_gallery(run):
    clean, blurred = (run[0]["arms"][arm]["as it is"]["matchers"]["mobilefacenet"] for arm in ("clean", "naive-blur"))
    assert clean["rank_1"]["value"] == 1 and blurred["rank_1"]["value"] < 0.5
    assert clean["gallery_subjects"] == 170 and clean["not_found"] == blurred["not_found"] == 0


def test_the_tables_have_a_column_for_every_attacker(run, tmp_path):
    from evaluation import record

    protocol = {"split": "tuning", "subjects": 6, "strangers": 170, "learnt": 12, "publish": "jpeg90"}
    record.write(tmp_path / "adaptive.json", "adaptive", {"protocol": protocol, **run[0]})
    lines = table.render([tmp_path / "adaptive.json"]).splitlines()
    heads, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|"))
    rows = {tuple(row[:2]): dict(zip(heads, row)) for row in rows}
    assert {"clear gallery", "parrot gallery", "averaged parrot", "sharpened", "undone by a network"} < set(heads)
    found = run[0]["arms"]["naive-blur"]["parrot"]["matchers"]["mobilefacenet"]
    shown = rows["naive-blur", "mobilefacenet"]
    assert shown["parrot gallery"] == (
        f"{found['tar']['value']:.2f} [{found['tar']['low']:.2f}, {found['tar']['high']:.2f}] / "
        f"{found['rank_1']['value']:.2f}"
    )
    named = run[0]["arms"]["naive-blur"]["classifier"]["classifier"]["pixels"]["top_1"]["value"]
    assert rows["naive-blur", "none"]["named by a classifier"].startswith(f"{named:.2f} [")
    assert "one of 3 people" in lines[0] and "chance is 0.33" in lines[0]
