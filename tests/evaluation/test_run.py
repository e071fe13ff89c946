"""A run from its protocol to its result, killed and unbroken, on good input and on bad."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from facenet_pytorch import InceptionResnetV1
from PIL import Image

from evaluation import groups, matchers, protect, record, table
from evaluation.__main__ import main
from evaluation.cells import larger_galleries, non_mated, populations
from evaluation.faces import decode
from evaluation.files import sha256_of
from evaluation.judge import look, open_bench
from evaluation.protocol import read
from evaluation.run import Run, group_members, usable_matchers, warnings
from evaluation.samples import SamplesUnusable
from evaluation.work import Work, WorkRefused
from tests.evaluation.conftest import SUBJECTS
from tests.test_docs import ROOT

PROTOCOL = """
schema = "facecloak-protocol/1"
name = "small"
arms = [ARMS]
publish = "jpeg90"

[data]
photos = "people"
subjects = 4

[matchers]
required = ["edgeface_xxs"]

[robustness]
arms = ["naive-blur"]
steps = ["jpeg75", "jpeg90"]
"""


def written(tmp_path, *arms, more=""):
    path = tmp_path / "small.toml"
    path.write_text(PROTOCOL.replace("ARMS", ", ".join(f'"{arm}"' for arm in arms)) + more)
    return path


def started(path, pack, out, cache):
    return Run(read(path), pack, out, cache=cache)


@pytest.fixture
def painted(monkeypatch):
    """A stand-in for the engine that greys the eyes out: strong, and never the original. It refuses the last photo."""

    def paint(paths, folder: Path, strength: str, **options):
        folder.mkdir(parents=True, exist_ok=True)
        made = {}
        for number, path in enumerate(paths[:-1]):
            pixels = decode(path).copy()
            pixels[90:130, 70:180] = 128
            made[path] = folder / f"{number:04d}.png"
            Image.fromarray(pixels).save(made[path])
        return made

    monkeypatch.setattr(protect, "protect", paint)


def test_a_run_has_every_arm_and_every_table(small_pack, small_cache, tmp_path, painted):
    theirs = tmp_path / "theirs"
    for sample in open_bench(small_pack, "judging", cache=small_cache, subjects=SUBJECTS, photos="people",
                             matcher_names=["edgeface_xxs"]).samples.probes:
        (theirs / sample.subject).mkdir(parents=True)
        shutil.copyfile(sample.probe, theirs / sample.subject / sample.probe.name)
    more = """
[gallery]
arms = ["clean", "solid box"]
sizes = [1000]

[linkability]
arms = ["clean", "naive-blur"]

[[arm]]
name = "another tool"
folder = "theirs"
"""
    path = written(tmp_path, "strong", "naive-blur", more=more)
    out = started(path, small_pack, tmp_path / "results", small_cache).measure()
    document = record.read(out)
    assert document["kind"] == "run"
    ours = ["clean", "no-op", "solid box", "strong", "noise as strong", "naive-blur", "another tool"]
    assert list(document["arms"]) == ours
    arms = {name: result["matchers"]["edgeface_xxs"] for name, result in document["arms"].items()}
    without_files = [{k: v for k, v in document["arms"][name].items() if k != "equal_to_original"}
                     for name in ("clean", "no-op", "another tool")]
    assert without_files[0] == without_files[1] == without_files[2]
    assert document["arms"]["strong"]["not_written"] == 1 and document["arms"]["strong"]["subjects"] == SUBJECTS - 1
    assert arms["strong"]["tar"]["1e-2"]["value"] < arms["clean"]["tar"]["1e-2"]["value"]
    psnr = {name: document["arms"][name]["quality_written"]["photo"]["psnr_db"] for name in ours}
    assert psnr["strong"] == pytest.approx(psnr["noise as strong"], abs=1.5)
    assert document["held_out"] == ["edgeface_xxs"] and document["white_box"] == []
    assert arms["clean"]["enrolled_instead"]["rank_1"]["value"] == 1
    assert arms["solid box"]["enrolled_instead"]["rank_50"]["value"] == 0

    assert [(row["arm"], row["step"]) for row in document["robustness"]] == [
        ("naive-blur", "jpeg90"), ("naive-blur", "jpeg75")
    ]
    assert document["robustness"][0]["tar"] == arms["naive-blur"]["tar"]["1e-3"]
    clean = [row for row in document["groups"] if row["arm"] == "clean"]
    for group in {row["group"] for row in clean}:
        here = [row for row in clean if row["group"] == group]
        assert sum(row["count"] for row in here) == SUBJECTS
        together = sum(row["count"] * row["tar"]["value"] for row in here) / SUBJECTS
        assert together == pytest.approx(arms["clean"]["tar"]["1e-3"]["value"])
    ranks = {row["arm"]: row["rank_1"]["value"] for row in document["galleries"] if row["size"] == 1000}
    assert ranks["clean"] == 1 and ranks["solid box"] == 0
    scores = document["scores"]["clean"]["edgeface_xxs"]
    assert len(scores["mated"]) == 3 * SUBJECTS and len(scores["ranks"]) == SUBJECTS
    assert 1000 < len(scores["non_mated"]) <= 2000 and scores["non_mated"] == sorted(scores["non_mated"], reverse=True)
    linked = {arm: one["matchers"]["edgeface_xxs"]["tar_at_thresholds_of_clean_photos"]["1e-3"]["value"]
              for arm, one in document["linkability"].items()}
    assert linked["clean"] > 0.9 and set(linked) == {"clean", "naive-blur"}
    assert any("1 files were not written" in warning for warning in document["warnings"])
    assert any("another tool: 4 files are their originals" in warning for warning in document["warnings"])

    shown = table.render([out])
    assert "published as | naive-blur |" in shown and "pose: " in shown and "1,000 people" in shown
    assert "| another tool |" in shown


def test_a_killed_run_goes_on_and_gives_the_result_of_an_unbroken_one(small_pack, small_cache, tmp_path):
    path = written(tmp_path, "naive-blur")

    def command(out):
        return [sys.executable, "-m", "evaluation", "run", path, "-o", out, "--data", small_pack, "--cache",
                small_cache]

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    first = subprocess.Popen(command(broken), cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    cells = broken / "small.work" / "cells"
    while len(list(cells.glob("*.json"))) < 2 and first.poll() is None:
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    assert not (broken / "small.json").exists()
    kept = {cell.name: cell.stat().st_mtime_ns for cell in cells.glob("*.json")}

    again = subprocess.run(command(broken), cwd=ROOT, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert {name: (cells / name).stat().st_mtime_ns for name in kept} == kept and len(kept) < len(list(cells.iterdir()))
    assert main([str(word) for word in command(unbroken)[3:]]) == 0
    assert (broken / "small.json").read_bytes() == (unbroken / "small.json").read_bytes()


def test_work_of_another_protocol_or_of_other_photos_is_refused(small_pack, small_cache, tmp_path, monkeypatch):
    started(written(tmp_path, "naive-blur"), small_pack, tmp_path / "results", small_cache)
    with pytest.raises(WorkRefused, match="begun with other protocol. Delete it"):
        started(written(tmp_path, "naive-mosaic", "naive-blur"), small_pack, tmp_path / "results", small_cache)
    monkeypatch.setattr(protect, "source_sha256", lambda: "another engine")
    with pytest.raises(WorkRefused, match="begun with other engine"):
        started(written(tmp_path, "naive-blur"), small_pack, tmp_path / "results", small_cache)


def test_a_work_folder_keeps_cells_and_makes_changed_files_again(tmp_path):
    made = []

    def files(folder):
        made.append(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "a.png").write_bytes(b"photo")
        return {"Ann": folder / "a.png"}

    work = Work(tmp_path / "w", {"protocol": "1"})
    assert work.files("arm/0000", files) == work.files("arm/0000", files) and len(made) == 1
    (tmp_path / "w" / "made" / "arm" / "0000" / "a.png").write_bytes(b"touched")
    assert work.files("arm/0000", files)["Ann"].read_bytes() == b"photo" and len(made) == 2
    assert work.cell("one", lambda: {"figure": 0.1 + 0.2}) == {"figure": 0.1 + 0.2}
    assert Work(tmp_path / "w", {"protocol": "1"}).cell("one", lambda: {"figure": 9}) == {"figure": 0.1 + 0.2}


def test_a_work_folder_takes_no_number_that_is_none_and_no_damaged_cell(tmp_path):
    work = Work(tmp_path / "w", {"protocol": "1"})
    with pytest.raises(ValueError):
        work.cell("one", lambda: {"figure": float("nan")})
    assert not (tmp_path / "w" / "cells" / "one.json").exists()
    work.cell("two", dict)
    (tmp_path / "w" / "cells" / "two.json").write_text('{"schema"')
    with pytest.raises(WorkRefused, match=r"two\.json"):
        work.cell("two", dict)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "photo.jpg").write_bytes(b"mine")
    with pytest.raises(WorkRefused, match="no work folder"):
        Work(tmp_path / "other", {"protocol": "1"})
    assert (tmp_path / "other" / "photo.jpg").read_bytes() == b"mine"


def pack_of(tmp_path, shared_data, subjects=3) -> Path:
    """A few people of which every photo is a file of this test's own."""
    pack = tmp_path / "pack"
    pack.mkdir()
    shutil.copytree(shared_data / "weights", pack / "weights")
    people = [person for person in sorted((shared_data / "lfw-dev").iterdir())
              if person.is_dir() and len(list(person.iterdir())) > 3]
    from evaluation.samples import split_of
    for person in [person for person in people if split_of(person.name) == "judging"][:subjects]:
        shutil.copytree(person, pack / "people" / person.name)
    return pack


def refused(capsys, tmp_path, pack, path=None, subjects=3) -> str:
    """What the command says when it gives up, and it must write nothing."""
    path = path or written(tmp_path, "naive-blur")
    path.write_text(path.read_text().replace("subjects = 4", f"subjects = {subjects}"))
    out = tmp_path / "results"
    code = main(["run", str(path), "-o", str(out), "--data", str(pack), "--cache", str(tmp_path / "cache")])
    said = capsys.readouterr().err
    assert code == 2 and "error: " in said and not list(out.glob("*.json")), said
    return said.partition("error: ")[2]


def photos(pack, person=0):
    folders = sorted((pack / "people").iterdir())
    return sorted(folders[person].glob("*.jpg"))


def test_one_subject_is_no_gallery(shared_data, tmp_path, capsys):
    assert "only one subject" in refused(capsys, tmp_path, pack_of(tmp_path, shared_data, 1), subjects=1)


def test_fewer_subjects_than_asked_for_are_refused(shared_data, tmp_path, capsys):
    assert "3 judging subjects have more than 3 photos, 9 wanted" in refused(
        capsys, tmp_path, pack_of(tmp_path, shared_data), subjects=9)


def test_too_few_strangers_for_the_rate_are_refused(shared_data, tmp_path, capsys):
    assert "cannot show a false match rate of 1e-3" in refused(capsys, tmp_path, pack_of(tmp_path, shared_data))


def test_one_photo_as_probe_and_as_mate_is_refused(shared_data, tmp_path, capsys):
    pack = pack_of(tmp_path, shared_data)
    shutil.copyfile(photos(pack)[0], photos(pack)[3])
    assert "one photo, as probe and as mate" in refused(capsys, tmp_path, pack)


def test_one_photo_of_two_subjects_is_refused(shared_data, tmp_path, capsys):
    pack = pack_of(tmp_path, shared_data)
    shutil.copyfile(photos(pack, 0)[3], photos(pack, 1)[0])
    assert "one photo of two subjects" in refused(capsys, tmp_path, pack)


def test_a_corrupt_photo_is_named(shared_data, tmp_path, capsys):
    pack = pack_of(tmp_path, shared_data)
    photos(pack)[1].write_bytes(photos(pack)[1].read_bytes()[:3000])
    said = refused(capsys, tmp_path, pack)
    assert said.startswith(str(photos(pack)[1])) and "not a readable photo" in said


def test_a_probe_without_a_face_is_named(shared_data, tmp_path, capsys):
    pack = pack_of(tmp_path, shared_data)
    Image.new("RGB", (250, 250), (90, 120, 90)).save(photos(pack)[3])
    assert f"no face in the clean probe or in any mate of ['{photos(pack)[3].parent.name}']" in refused(
        capsys, tmp_path, pack)


def test_an_empty_arm_is_refused_before_anything_is_made(small_pack, small_cache, tmp_path):
    (tmp_path / "theirs").mkdir()
    path = written(tmp_path, "naive-blur", more='\n[[arm]]\nname = "theirs"\nfolder = "theirs"\n')
    with pytest.raises(ValueError, match="theirs: holds no photo"):
        started(path, small_pack, tmp_path / "results", small_cache)
    assert not (tmp_path / "results").exists()


def test_an_engine_that_writes_nothing_is_no_protection(small_pack, small_cache, tmp_path, monkeypatch):
    monkeypatch.setattr(protect, "protect", lambda *arguments, **options: {})
    with pytest.raises(ValueError, match="balanced: not one of 4 photos was written"):
        started(written(tmp_path, "balanced", "naive-blur"), small_pack, tmp_path / "results", small_cache).measure()
    assert not (tmp_path / "results" / "small.json").exists()


def test_a_required_matcher_that_is_missing_ends_the_run_and_an_optional_one_is_left_out_by_name(
        shared_data, small_pack, small_cache, tmp_path, capsys):
    pack = pack_of(tmp_path, shared_data)
    (pack / "weights" / "edgeface_xxs.onnx").unlink()
    said = refused(capsys, tmp_path, pack)
    assert "matchers.required names edgeface_xxs, which is not here" in said and "edgeface_xxs.onnx" in said
    both = written(tmp_path, "naive-blur")
    both.write_text(both.read_text().replace(
        'required = ["edgeface_xxs"]', 'required = ["mobilefacenet"]\noptional = ["edgeface_xxs", "facenet_vggface2"]'))
    usable, left_out = usable_matchers(read(both), pack / "weights")
    assert usable == ["mobilefacenet"] and "no such file" in left_out["edgeface_xxs"]
    assert "20180402-114759-vggface2.pt: no such file" in left_out["facenet_vggface2"]


def test_facenet_of_another_folder_is_an_optional_matcher(shared_data, tmp_path, capsys):
    """With seeded weights, which recognise nobody: it is found, and searched with."""
    more = tmp_path / "more"
    more.mkdir()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        torch.save(InceptionResnetV1(pretrained=None).state_dict(), more / "20180402-114759-vggface2.pt")
    path = written(tmp_path, "naive-blur")
    path.write_text(path.read_text().replace("subjects = 4", "subjects = 3").replace(
        'required = ["edgeface_xxs"]', 'required = ["edgeface_xxs"]\noptional = ["facenet_casia", "facenet_vggface2"]'))
    usable, left_out = usable_matchers(read(path), shared_data / "weights", more)
    assert usable == ["edgeface_xxs", "facenet_vggface2"] and list(left_out) == ["facenet_casia"]
    assert usable_matchers(read(path), shared_data / "weights")[0] == ["edgeface_xxs"]
    pack, cache = pack_of(tmp_path, shared_data), tmp_path / "cache"
    arguments = ["-o", str(tmp_path / "results"), "--data", str(pack), "--cache", str(cache), "--weights", str(more)]
    assert main(["run", str(path), *arguments]) == 2
    # Of so few people nothing can be shown, which is known when everybody has been embedded.
    assert "cannot show a false match rate" in capsys.readouterr().err
    (table_of_facenet,) = cache.glob("facenet_vggface2-*.npz")
    with np.load(table_of_facenet) as stored:
        assert stored["rows"].shape[1] == 512 and len(stored["keys"]) >= 12


def test_an_optional_matcher_that_is_another_file_is_no_missing_one(shared_data, tmp_path, capsys):
    pack = pack_of(tmp_path, shared_data)
    (pack / "weights" / "edgeface_xxs.onnx").write_bytes(b"something else")
    assert "sha256 is" in refused(capsys, tmp_path, pack)


def test_a_file_that_is_no_recogniser_is_refused(shared_data, tmp_path, capsys, monkeypatch):
    """With its digest vouched for, so that only what it does can tell."""
    described = (matchers.HERE / "mobilefacenet.toml").read_text()
    for number, content in enumerate((b"no network at all", (shared_data / "weights" / "yunet_n.onnx").read_bytes())):
        file = tmp_path / f"{number}.onnx"
        file.write_bytes(content)
        here = tmp_path / f"here-{number}"
        here.mkdir()
        lines = [line for line in described.splitlines() if not line.startswith(("file", "sha256"))]
        (here / "odd.toml").write_text("\n".join([f'file = "{file.name}"', f'sha256 = "{sha256_of(file)}"', *lines]))
        monkeypatch.setattr(matchers, "HERE", here)
        with pytest.raises(matchers.TemplateBroken, match="odd.*no face recogniser"):
            matchers.load("odd", tmp_path)


class Odd:
    """A matcher that says the same of everybody, or nothing."""

    name, metric, weights_sha256, runtime = "edgeface_xxs", "cosine", "0" * 64, "odd"

    def __init__(self, value):
        self.value = value

    def embed(self, pixels, faces):
        return np.full((len(faces), 8), self.value, np.float32)


@pytest.mark.parametrize(("value", "said"), [(1.0, "gives everybody the same template"), (np.nan, "not finite")])
def test_a_matcher_that_tells_nobody_apart_is_no_judge(small_pack, small_cache, tmp_path, capsys, monkeypatch, value,
                                                      said):
    cache = tmp_path / "cache"
    shutil.copytree(small_cache, cache)  # its faces are of use, and its templates belong to the real network
    monkeypatch.setattr(matchers, "load", lambda name, weights, further=None: Odd(value))
    path = written(tmp_path, "naive-blur")
    assert main(["run", str(path), "-o", str(tmp_path / "out"), "--data", str(small_pack), "--cache", str(cache)]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out" / "small.json").exists()


def test_a_run_whose_only_matcher_made_the_cloaks_has_no_judge(small_pack, small_cache, tmp_path):
    path = written(tmp_path, "balanced", "naive-blur")
    path.write_text(path.read_text().replace("edgeface_xxs", "dlib_cpp"))
    with pytest.raises(SamplesUnusable, match="took part in making the cloaks"):
        started(path, small_pack, tmp_path / "results", small_cache)


def test_an_engine_option_that_cannot_be_had_ends_the_run_in_the_engines_words(small_pack, tmp_path, capsys):
    path = written(tmp_path, "balanced", "naive-blur", more='\n[engine]\nrecognisers = ["nobody"]\n')
    said = refused(capsys, tmp_path, small_pack, path, subjects=4)
    assert "no recogniser is called 'nobody'" in said


def test_data_that_is_not_there_and_results_of_another_schema_are_named(tmp_path, capsys):
    assert "--data or" in refused(capsys, tmp_path, tmp_path / "nowhere")
    (tmp_path / "old.json").write_text(json.dumps({"schema": "facecloak-evaluation/0"}))
    (tmp_path / "README.md").write_text(f"{table.BEGIN}\n{table.END}")
    assert main(["table", "--readme", str(tmp_path / "README.md"), "--results", str(tmp_path)]) == 2
    assert "schema is not facecloak-evaluation/1" in capsys.readouterr().err


def test_make_evaluate_says_which_folder_it_wants(tmp_path):
    """-o keeps make from setting up an environment first."""
    words = ["make", "-o", "none/.facecloak-test", "evaluate", "VENV=none", f"DATA={tmp_path / 'nowhere'}"]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2 and "Name one with DATA=folder" in run.stderr and "Nothing was judged" in run.stderr


def test_attributes_make_groups_and_who_is_not_listed_is_said_so(small_pack, small_cache, tmp_path):
    bench = open_bench(small_pack, "judging", cache=small_cache, subjects=SUBJECTS, matcher_names=["edgeface_xxs"],
                       photos="people")
    names = [sample.subject for sample in bench.samples.probes]
    path = tmp_path / "attributes.csv"
    path.write_text(f"subject,glasses\n{names[0]},yes\n{names[1]},no\nNobody,yes\n")
    members = group_members(bench, groups.attributes(tmp_path))
    assert members["glasses", "yes"] == [names[0]] and members["glasses", "no"] == [names[1]]
    assert members["glasses", "not stated"] == names[2:]


def test_kept_scores_of_strangers_have_the_quantiles_of_all_of_them(small_pack, small_cache):
    bench = open_bench(small_pack, "judging", cache=small_cache, subjects=SUBJECTS, matcher_names=["edgeface_xxs"],
                       photos="people")
    seen = look({sample: sample.probe for sample in bench.samples.probes}, bench)
    known = bench.galleries["edgeface_xxs"]
    everybody = seen.scores["edgeface_xxs"].probes @ known.others.templates.T
    everybody /= np.linalg.norm(seen.scores["edgeface_xxs"].probes, axis=1)[:, None]
    own = known.others.subjects == np.array(seen.subjects)[:, None]
    kept = non_mated(seen, bench, "edgeface_xxs")
    assert len(kept) == (~own).sum()  # fewer than may be kept: all of them
    assert kept == pytest.approx(np.sort(everybody[~own])[::-1], abs=1e-3)


def test_a_larger_gallery_has_no_better_ranks_and_real_people_alone_must_not_fill_it(small_pack, small_cache, tmp_path):
    bench = open_bench(small_pack, "judging", cache=small_cache, subjects=SUBJECTS, matcher_names=["edgeface_xxs"],
                       photos="people")
    blurred = {}
    for sample in bench.samples.probes:
        blurred[sample] = tmp_path / f"{sample.subject}.png"
        small = Image.fromarray(decode(sample.probe)).resize((28, 28), Image.Resampling.BOX)
        small.resize((250, 250), Image.Resampling.BICUBIC).save(blurred[sample])
    seen = look(blurred, bench)
    drawn_from = populations(bench)
    rows = larger_galleries(seen, bench, [1000, 5000], drawn_from)
    assert [row["size"] for row in rows] == [1000, 5000] and rows[1]["synthetic"] == 5000 - len(
        bench.galleries["edgeface_xxs"].others)
    for rank in (1, 10, 50):
        real = float((seen.scores["edgeface_xxs"].ranks <= rank).mean())
        assert real >= rows[0][f"rank_{rank}"]["value"] >= rows[1][f"rank_{rank}"]["value"]
    with pytest.raises(ValueError, match="a gallery of 300"):
        larger_galleries(seen, bench, [300], drawn_from)


def test_arms_that_misbehave_are_warned_of():
    def arm(tar, **more):
        return {"subjects": 100, "not_found": 0, "not_written": 0, "equal_to_original": 0,
                "matchers": {"m": {"tar": {"1e-3": {"value": tar}}}}, **more}

    good = {"clean": arm(0.99), "no-op": arm(0.99), "solid box": arm(0.0, not_found=100), "strong": arm(0.1)}
    assert warnings(good) == []
    assert "no-op arm differs" in warnings(good | {"no-op": arm(0.98)})[0]
    assert "still matches 5.0%" in warnings(good | {"solid box": arm(0.05)})[0]
    assert "3 of 100 faces were not found" in warnings(good | {"strong": arm(0.1, not_found=3)})[0]
    assert "originals, byte for byte" in warnings(good | {"strong": arm(0.1, equal_to_original=1)})[0]
    assert "2 files were not written" in warnings(good | {"strong": arm(0.1, not_written=2)})[0]
    assert "clean: m matches only 80.0%" in warnings(good | {"clean": arm(0.8), "no-op": arm(0.8)})[0]
