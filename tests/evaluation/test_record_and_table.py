import json

import pytest

from evaluation import record, table
from evaluation.__main__ import main
from evaluation.files import write_beside_and_rename


def rate(value):
    return {"value": value, "low": value - 0.05, "high": value + 0.05}


def document():
    rates = {"tar": {"1e-3": rate(0.5)}, "rank_1": rate(0.4), "rank_50": rate(0.7)}
    worse = {"tar": {"1e-3": rate(0.6)}, "rank_1": rate(0.8), "rank_50": rate(0.9)}
    part = {"ssimulacra2": 71.4, "ssimulacra2_reference": 68.2, "ssim": 0.9512, "psnr_db": 36.6}
    arm = {
        "matchers": {"dlib_cpp": rates, "edgeface_xxs": worse, "mobilefacenet": rates},
        "quality_written": {"photo": part, "face": part},
        "not_found": 2,
    }
    return {
        "white_box": ["dlib_cpp"],
        "held_out": ["edgeface_xxs", "mobilefacenet"],
        "arms": {"balanced": arm},
        "protocol": {"subjects": 150, "mates": 3, "gallery_subjects": 3412, "publish": "jpeg90"},
    }


def test_the_table_shows_the_worst_held_out_rank_and_the_faces_not_found(tmp_path):
    record.write(tmp_path / "run.json", "photos", document())
    row = table.render([tmp_path / "run.json"]).splitlines()[-1]
    assert row == (
        "| balanced | 71 / 71 | 68 | 0.951 | 36.6 "
        "| 0.50 [0.45, 0.55] | 0.60 [0.55, 0.65] | 0.50 [0.45, 0.55] | 0.80 / 0.90 | 2 |"
    )


def test_detectors_and_speed_have_tables_of_their_own_and_notes_have_none(tmp_path):
    one = {"recall": 0.9876, "false_positives": 3}
    record.write(tmp_path / "a.json", "detectors",
                 {"protocol": {"found_above_iou": 0.35}, "detectors": {"mtcnn": {"street": one, "hard": one}}})
    record.write(tmp_path / "b.json", "speed", {
        "run": {"device": "cpu", "threads": 2}, "step": {"8": {"ratio": 1.234}},
        "per_face_at_balanced": {"4": {"seconds_per_face": 0.756}},
        "memory_12_megapixels": {"faces_found": 8, "above_import_mb": 430.2},
        "memory_100_megapixels": {"faces_found": 25, "above_import_mb": 1369.3}})
    record.write(tmp_path / "d.json", "studio", {
        "run": {"times": 3, "faces": 2, "strength": "balanced", "megapixels": 1.008, "processors": 2, "load_before": 0.,
                "recognisers": ["one", "two"]},
        "medians_s": {way: {"page": 1., "faces": 2., "verdict": 13.04, "file": 14.06} for way in ("first", "second")}})
    record.write(tmp_path / "c.json", "tuning notes", {})
    lines = table.render(list(tmp_path.glob("*.json"))).splitlines()
    assert "| mtcnn | 0.988 (3) | 0.988 (3) |" in lines
    assert "| one step over the bare network, batch of 8 | 1.23 times |" in lines
    assert "| 12 megapixels with 8 faces, peak memory | 430 MB above import torch |" in lines
    assert "| the file has arrived | 14.1 s | 14.1 s |" in lines
    assert not any("c.json" in line for line in lines)


def test_check_fails_until_the_readme_is_brought_up_to_date(tmp_path):
    record.write(tmp_path / "results" / "run.json", "photos", document())
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    arguments = ["table", "--readme", str(readme), "--results", str(tmp_path / "results")]
    assert main([*arguments, "--check"]) == 1
    assert "old" in readme.read_text()
    assert main(arguments) == 0
    assert main([*arguments, "--check"]) == 0
    assert readme.read_text().startswith("before\n") and readme.read_text().endswith("after\n")


def test_a_document_without_markers_is_refused():
    with pytest.raises(table.MarkersMissing):
        table.fill("no markers here", "table")


def test_a_result_that_is_not_a_number_is_not_written(tmp_path):
    with pytest.raises(ValueError):
        record.write(tmp_path / "run.json", "photos", {"value": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_results_of_another_schema_are_refused(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"schema": "facecloak-evaluation/0"}))
    with pytest.raises(record.ResultUnreadable, match=r"run\.json: schema is not facecloak-evaluation/1"):
        record.read(tmp_path / "run.json")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "run.json"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_beside_and_rename(path, "text is not bytes")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_result_names_neither_the_computer_nor_its_owner(tmp_path):
    import getpass
    import platform

    record.write(tmp_path / "run.json", "photos", document())
    machine = json.loads((tmp_path / "run.json").read_text())["machine"]
    assert set(machine) == {"processors", "architecture", "python"}
    assert platform.node() not in json.dumps(machine) or not platform.node()
    assert getpass.getuser() not in json.dumps(machine)


def redacted_clips():
    def one(coverage, never):
        return {"coverage": coverage, "leak_events": 59, "longest_leak_frames": 7, "tracks": 50,
                "tracks_never_exposed": never, "over_masking": {"changed_area_over_gt_area_median": 2.512},
                "cost": {"frames_per_s": 12.34}}

    street = {"ours": one(0.99712, 49), "deface": one(0.9618, 22)}
    return {"clips": {"street": street, "hard": {"ours": one(0.99999, 50)}}}


def test_redacted_clips_have_a_table_that_rounds_no_leak_away(tmp_path):
    record.write(tmp_path / "video.json", "video", redacted_clips())
    assert table.covered(1.0) == "100.00%"
    assert table.render([tmp_path / "video.json"]).splitlines()[-3:] == [
        "| street | ours | 99.71% | 59, 7 frames | 49 of 50 | 2.5 | 12.3 |",
        "|  | deface | 96.18% | 59, 7 frames | 22 of 50 | 2.5 | 12.3 |",
        "| hard | ours | 99.99% | 59, 7 frames | 50 of 50 | 2.5 | 12.3 |",
    ]


def test_a_result_that_is_not_what_its_kind_says_makes_no_table_and_is_named(tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(f"{table.BEGIN}\nold\n{table.END}")
    record.write(tmp_path / "results" / "odd.json", "speed", {"run": 3})
    assert main(["table", "--readme", str(readme), "--results", str(tmp_path / "results")]) == 2
    assert "odd.json: says it is of kind 'speed'" in capsys.readouterr().err and "old" in readme.read_text()


def test_search_by_video_has_a_table_that_names_its_clips_once(tmp_path):
    def ways(value):
        return {way: rate(value) for way in ("one_frame", "best_frame", "average")}

    one = {"rank_1": ways(0.5), "at_fpir_0.01": ways(0.25), "strangers_named": ways(0.04), "mates": 13, "strangers": 47}
    kinds = {kind: {"enrolled": 3412, "matchers": {"a": one, "b": one}} for kind in ("same_photo", "other_photo")}
    arm = {"people": 60, "faces": 1019, "faces_detected": 985, "galleries": kinds}
    protocol = {"clip": "street", "every_nth_frame": 2}
    record.write(tmp_path / "a.json", "video_search", {"protocol": protocol, "arms": {"original": arm}})
    lines = table.render([tmp_path / "a.json"]).splitlines()
    assert "60 people of `street`, one frame in 2, among 3,412 people" in lines[0]
    cells = "0.50 / 0.50 / 0.50 | 0.25 / 0.25 / 0.25 | 0.50 / 0.50 | 0.04 / 0.04 |"
    assert lines[-2:] == [f"| original | 985 of 1019 | a | {cells}", f"|  |  | b | {cells}"]


def streams():
    """A result of scripts/video_streams.py with one clip that lost everything there is to lose."""
    sound = {"codec": ["aac", "opus"], "identical": False}
    clip = {
        "frames": [50, 49], "duration_error_frames": 1.0, "largest_time_difference_ms": 40.0,
        "size": [[64, 48], [64, 46]], "sounds": [sound], "sound_tracks": [2, 1], "codec": ["hevc", "h264"],
        "pixel_format": ["yuv420p10le", "yuv420p"],
        "colours": [{"color_range": "tv"}, {}], "hdr": [{}, {}], "colours_kept": False, "hdr_kept": True,
        "psnr": {"all_db": 45.96, "worst_frame_db": 40.04}, "leftovers": ["x.part"],
        "secrets": {"planted": 2, "before": 7, "after": 1},
    }
    span = {"first_mb": 300.0, "last_mb": 420.0, "mb_per_minute": 6.0, "peak_mb": 430.0, "by_minute_mb": [301.0, 429.5]}
    nothing = {"first_mb": 0.0, "last_mb": None, "mb_per_minute": 0.0, "peak_mb": 0.0, "by_minute_mb": []}
    memory = {
        "clip": {"seconds": 1800, "frames": 45000, "size": "640x360", "of": "crowd-street"}, "after_import_mb": 90.0,
        "peak_mb": 430.0, "together_above_import_mb": 390.0, "limit_above_import_mb": 1000,
        "stages": {"looking": {"own": span, "helpers": nothing}},
    }
    one = {"stage": "writing", "same_bytes": False, "looking_spared": 1.0, "left_behind": {".a/part": 3},
           "leftovers": []}
    kill = {"clip": {"frames": 250, "size": "640x360"}, "kills": [one]}
    refused = {"exit_code": 2, "said": "cloak: a.mp4: is empty.", "nothing_changed": True, "left": [], "seconds": 1.0}
    return {"streams": {"deep.mp4": clip}, "bad": {"empty.mp4": refused}, "memory": memory, "kill": kill}


def test_what_redaction_of_video_loses_is_shown_plainly(tmp_path):
    record.write(tmp_path / "streams.json", "streams", streams())
    lines = table.render([tmp_path / "streams.json"]).splitlines()
    assert ("| deep.mp4 | 50 to 49 | 1.00 | 40.0 | 64x48 to 64x46 | 2 to 1, 0 | hevc yuv420p10le to h264 yuv420p "
            "| CHANGED | 45.9 / 40.0 | 7 to 1 | x.part |") in lines
    assert "| empty.mp4 | 2 | yes | nothing |" in lines
    assert "| looking, cloak | 300 | 420 | +6.00 | 430 |" in lines and "looking, ffmpeg" not in str(lines)
    assert "| writing | NO | 100% | .a/part | nothing |" in lines
    assert any("**1 of 1 clips miss 46 dB over all frames: deep.mp4.**" in line for line in lines)
    assert any("30 minutes, 45,000 frames" in line and "390 above" in line for line in lines)


def batch():
    """A result of scripts/batch.py in which every part missed its bar."""
    memory = {"peak_mb": 2345.4, "quarters_mb": [100.0, 1900.0, 2000.0, 2100.0], "mb_per_1000_outputs": 12.3,
              "over_time": [[0.0, 0, 90, 10], [60.5, 1200, 91, 1800]]}
    planted = {"bad/text.jpg": {"kind": "no photo", "state": None, "error": None}}
    odd = {"odd/<b>bold.jpg": {"kind": "markup", "state": "done", "error": None}}
    published = {"files": 2040, "photos": 1008, "clips": 20, "flagged": 33, "faces": 1500, "faces_bare": {"a.jpg": 2},
                 "faces_judged": 1400, "faces_matched": {"dlib_cpp": 1, "sface": 700}, "clip_faces": 90,
                 "clip_faces_bare": 3, "clip_faces_bare_unflagged": 1, "unprotected": {"x|y.jpg": "is <b>x</b>"}}
    bad = {"photos": 1000, "clips": 20, "bad": 30, "odd_files": odd, "planted": planted, "published": published,
           "command": "cloak batch card -o web", "exit_code": 2, "good_done": 1019, "bad_in_report": 29,
           "bad_in_page": 28, "bad_in_ledger": 27, "bad_as_expected": 26, "matchers": ["dlib_cpp", "sface"],
           "inputs_changed": [], "left_over": [".x.part"], "fmr": "1e-3", "wall_s": 600.0, "memory": memory,
           "again": {"exit_code": 2, "wall_s": 9.0}}
    throughput = {"photos": 120, "processors": 2, "load_before": 0.1, "exit_codes": {"batch": 0, "loop": 0, "one": 3},
                  "seconds_per_photo": {"batch": 2.0, "loop": 3.98, "one": 1.0}, "times_the_loop": 1.99,
                  "times_one_command": 0.5, "bar": 2.0, "is_above_bar": False, "memory": memory}
    row = {"photos": 100, "runs": 3, "wall_s": 10.0, "ms_each": 80.0, "done": 100, "exit_code": 0, "peak_mb": 900.0,
           "driver_peak_mb": 80.0}
    scale = {"treatment": "redact solid", "start_s": 2.0, "rows": [row, row | {"photos": 10_000, "ms_each": 96.0}],
             "spread": 0.2, "bar": 0.1, "is_within_bar": False}
    one = {"after_s": 3.0, "killed": "driver", "outputs_then": 4, "ledger_done_then": 3, "half_made": ["a.jpg"],
           "exit_code": 0, "differences": ["b.jpg"], "left_over": []}
    other = one | {"killed": "all", "after_s": 7.5, "half_made": [], "differences": [], "ledger_done_then": None}
    kill = {"photos": 24, "clips": 2, "photos_as": "solid", "unbroken_wall_s": 50.0, "kills": [one, other], "same": 1}
    return {"bad": bad, "throughput": throughput, "scale": scale, "kill": kill}


def test_what_a_batch_misses_is_shown_plainly(tmp_path):
    record.write(tmp_path / "batch.json", "batch", batch())
    text = table.render([tmp_path / "batch.json"])
    for bold in ("**1 files under OUT were not protected.**",
                 "1.9 times as fast as the loop and misses the bar of 2.**",
                 "**The times differ by 20 % and miss the bar of 10 %.**", "**1 of 2 ended otherwise.**"):
        assert bold in text
    for row in ("| bad files named in the report, on the page, in the ledger | 29 of 30, 28 of 30, 27 of 30 |",
                "| files under OUT that are not protected | 1 of 2,040 |",
                "| faces still matched by dlib at FMR 1e-3, in files not flagged | 1 of 1,400 |",
                "| the same, held out: sface | 700 of 1,400 |",
                "| one `cloak photo FOLDER` | 1.00 | 0.50 | 3 |",
                "| 10,000 | 10.0 | 96.0 | 100 | 900 | 80 |",
                "| the driver alone | 1 | 3.0 to 3.0 | 4 to 4 | 1 | 0 | 0 |"):
        assert row in text.splitlines()


def test_parts_of_a_batch_that_were_not_measured_have_no_table(tmp_path):
    record.write(tmp_path / "batch.json", "batch", {"kill": batch()["kill"]})
    assert table.render([tmp_path / "batch.json"]).count("Source:") == 1
