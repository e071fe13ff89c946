"""A batch on a real Ray cluster: two nodes, started by these tests, of which one is killed in the middle."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import cloak
from cloak.batch import machines, on_ray
from cloak.batch.machines import Facts, Place
from cloak.batch.on_ray import Cluster
from cloak.batch.types import Common, Group, Item, Lost, Recipe, Result
from cloak.errors import ClusterUnusable
from cloak.settings import Settings
from cloak.types import Treatment
from cloak.video.redact import VideoSettings
from evaluation.ray_nodes import Nodes

ON_CPU = Common(Settings(device="cpu"), VideoSettings(device="cpu"))
NAME = "anna-at-the-gate"  # of the inputs; must not turn up in what Ray writes


@pytest.fixture(scope="module")
def nodes():
    """A cluster of one node; tests start the second one."""
    with Nodes(str(Path(cloak.__file__).parent.parent)) as nodes:
        nodes.start("head")
        yield nodes
        assert not [path for path in nodes.folder.rglob("*") if path.is_file() and NAME.encode() in path.read_bytes()]
    assert not nodes.folder.exists()
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(nodes.folder) not in running


def groups_of(count: int, folder: Path) -> list[Group]:
    """Groups of one file each, which no engine could read."""
    made = []
    for number in range(count):
        source = folder / f"{NAME}-{number}.jpg"
        source.write_bytes(b"%d" % number)
        item = Item(number, "photo", source, folder / "out" / source.name,
                    hashlib.sha256(source.read_bytes()).hexdigest(), Recipe(Treatment("redact", "solid")))
        made.append(Group(number, (item,), frozenset([number])))
    return made


def nothing(group, common):
    """Never comes to a node."""
    raise AssertionError


def words(told):
    return {group.number: answer if isinstance(answer, Lost) else answer[0].words for group, answer in told}


# --- what decides ---------------------------------------------------------------------------------------------------


def test_a_gpu_or_a_core_has_one_worker_as_far_as_the_memory_goes():
    much = 100 * machines.WORKER_BYTES
    assert machines.places("n", {"CPU": 4.0, "memory": much}, "cpu") == [Place("n", "cpu")] * 4
    assert machines.places("n", {"CPU": 4.0, "memory": 2.5 * machines.WORKER_BYTES}, "cpu") == [Place("n", "cpu")] * 2
    assert machines.places("n", {"CPU": 4.0, "memory": 1.0}, "cpu") == [Place("n", "cpu")]
    assert machines.places("n", {"CPU": 8.0, "GPU": 2.0, "memory": much}, "cuda") == [Place("n", "cuda")] * 2
    assert machines.places("n", {"CPU": 8.0, "GPU": 2.0, "memory": much}, "cpu") == [Place("n", "cpu")] * 8
    assert machines.places("n", {"CPU": 8.0, "memory": much}, "cuda") == []
    assert machines.places("n", {"memory": much}, "cpu") == []


def test_whatever_would_make_other_bytes_is_named():
    ours = machines.facts()
    assert ours.versions["torch"][0].isdigit() and ours.recognisers and ours.detectors
    assert machines.differences(ours, machines.facts()) == []

    def other(**fields):
        values = {name: getattr(ours, name) for name in Facts.__slots__} | fields
        return machines.differences(ours, Facts(**values))

    assert other(versions={**ours.versions, "torch": "1.0"}) == [f"torch 1.0, here {ours.versions['torch']}"]
    assert other(recognisers={**ours.recognisers, "mine": "0"}) == ["the recogniser mine, which is not here"]
    assert other(recognisers={}) == [f"no recogniser {name}" for name in ours.recognisers]
    changed = dict.fromkeys(ours.detectors, "0")
    assert other(detectors=changed) == [f"another detector {name}" for name in ours.detectors]
    assert other(code="0") == ["other files of facecloak under the same version"]


def test_a_mark_tells_one_folder_from_another(tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    mark = machines.leave_mark(there)
    assert machines.find_mark(there, mark) and not machines.find_mark(tmp_path, mark)
    machines.take_mark(there, mark)
    assert not machines.find_mark(there, mark) and list(there.iterdir()) == []


# --- joining --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["local", "", "ray://127.0.0.1:10001", "127.0.0.1", "http://a:1", "a b:1", "auto"])
def test_nothing_is_started_whatever_the_address_is(address, monkeypatch):
    """Ray would start a cluster of its own at `local`, also where RAY_ADDRESS says so."""
    monkeypatch.setenv("RAY_ADDRESS", "local")
    with pytest.raises(ClusterUnusable, match="no address of a Ray cluster"):
        Cluster(address, nothing)


def test_nothing_may_tell_of_its_use_before_ray_is_imported():
    code = ("import os\nos.environ.pop('RAY_USAGE_STATS_ENABLED', None)\nimport sys\n"
            "from cloak.batch.on_ray import Cluster\nassert 'ray' not in sys.modules\n"
            "Cluster('127.0.0.1:1', print)\nfrom ray._common.usage import usage_lib\n"
            "assert not usage_lib.usage_stats_enabled()")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_a_cluster_that_tells_of_its_use_is_refused(nodes, tmp_path, monkeypatch):
    from ray._common.usage import usage_lib

    cluster = Cluster(nodes.address, nothing)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    said = usage_lib._generate_cluster_metadata(ray_init_cluster=False)  # what the head of such a cluster writes
    monkeypatch.setattr(usage_lib, "get_cluster_metadata", lambda client: said)
    with pytest.raises(ClusterUnusable, match="--disable-usage-stats"):
        next(cluster.run(groups_of(1, tmp_path), ON_CPU))


def test_a_node_that_would_make_other_bytes_is_named_and_nothing_is_done(nodes, tmp_path, monkeypatch):
    facts = machines.facts()
    monkeypatch.setattr(machines, "facts", lambda: Facts(facts.code, {**facts.versions, "torch": "1.0"},
                                                         facts.recognisers, facts.detectors, facts.processor))
    handed_out = []
    with pytest.raises(ClusterUnusable, match=r"the node \S+ \(\S+\) would make other bytes .* torch .*, here 1.0"):
        handed_out += Cluster(nodes.address, nothing).run(groups_of(1, tmp_path), ON_CPU)
    assert handed_out == [] and not (tmp_path / "out").exists()


def test_a_node_that_sees_another_folder_is_named_and_nothing_is_done(nodes, tmp_path, monkeypatch):
    monkeypatch.setattr(machines, "leave_mark", lambda folder: "nowhere:0")
    with pytest.raises(ClusterUnusable, match="does not share .*same path"):
        next(Cluster(nodes.address, nothing).run(groups_of(1, tmp_path), ON_CPU))


# --- working --------------------------------------------------------------------------------------------------------


def far_connections(pids: list[int]) -> set[str]:
    """Addresses of other machines that these processes are connected to, as /proc writes them."""
    sockets = set()
    for pid in pids:
        for handle in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                sockets.add(os.readlink(handle))
            except OSError:
                continue
    found = {}
    for family in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
            columns = line.split()
            if f"socket:[{columns[9]}]" in sockets:
                found[columns[1].partition(":")[0], columns[2].partition(":")[0]] = family
    # A connection of a machine with itself has the same address at both ends; one that listens has none at the other
    return {there for here, there in found if there != here and set(there) != {"0"}}


def test_groups_are_done_quietly_by_one_thread(nodes, tmp_path, capfd):
    def do(group, common):
        import cv2
        import torch

        print("said on a node")
        return (Result(group.number, "done", words=f"{torch.get_num_threads()} {cv2.getNumThreads()}"),)

    before = signal.getsignal(signal.SIGTERM)
    cluster, told = Cluster(nodes.address, do), {}
    for group, answer in cluster.run(groups_of(4, tmp_path), ON_CPU):
        told[group.number] = answer[0].words
        assert cluster.workers == 1
        assert not far_connections([os.getpid(), *nodes.processes()])
    assert told == dict.fromkeys(range(4), "1 1")
    assert signal.getsignal(signal.SIGTERM) == before
    assert "node" not in (said := capfd.readouterr()).out and "Traceback" not in said.err
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".jpg"] * 4  # no mark is left


def test_a_worker_that_dies_has_its_group_begun_again_and_then_given_up_and_closing_ends_all(nodes, tmp_path):
    def do(group, common):
        import os
        import signal
        import time

        source = group.items[0].source
        with open(source.with_suffix(".begun"), "a") as file:
            file.write("x")
        begun = source.with_suffix(".begun").stat().st_size
        if group.number == 2 or (group.number == 1 and begun == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if group.number == 3:
            raise FileNotFoundError(source)
        if group.number == 4:
            source.with_suffix(".pid").write_text(str(os.getpid()))
            time.sleep(600)
        return (Result(group.number, "done", words=f"begun {begun}"),)

    run = Cluster(nodes.address, do).run(groups_of(5, tmp_path), ON_CPU)
    told = words(next(run) for _ in range(4))
    assert told[0] == "begun 1" and told[1] == "begun 2"
    assert isinstance(told[2], Lost) and "died" in told[2].why
    assert isinstance(told[3], Lost) and told[3].why.startswith("FileNotFoundError in ") and NAME not in told[3].why

    end = time.monotonic() + 20
    while not (found := [text for path in tmp_path.glob("*.pid") if (text := path.read_text())]):
        assert time.monotonic() < end, "the last group was not begun"
        time.sleep(0.1)
    assert int(found[0]) in nodes.processes("head")
    run.close()
    while int(found[0]) in nodes.processes("head"):
        assert time.monotonic() < end, "the worker goes on"
        time.sleep(0.1)


def engine(second: int, held_up: int):
    """What a worker does, with the engine, into a folder of its own. Sent to the nodes whole.

    On the first node group 1 waits until the second node hangs in the middle of group `held_up`, for which it has left
    half a file.
    """
    def do(group, common):
        import tempfile
        import time
        from pathlib import Path

        import ray

        from cloak.choices import Choices
        from cloak.protect import cloak_photos
        from cloak.video.redact import redact_video

        folder = Path(tempfile.mkdtemp(prefix=f"{group.number}-", dir=common.folder))
        places = [folder / item.output.name for item in group.items]
        if ray.is_initialized():  # not in the driver, which does the same for comparison
            node = ray.get_runtime_context().get_node_id()
            held = common.folder / f"held-{held_up}"
            if group.number == 0:
                (common.folder / "first").write_text(node)
            is_first = (common.folder / "first").read_text() == node
            assert is_first or group.number >= second
            if group.number == held_up and not is_first:
                places[0].write_bytes(b"half")
                held.touch()
                time.sleep(600)
            while group.number == 1 and not held.exists():
                time.sleep(0.1)
        if group.items[0].media == "clip":
            report = redact_video(group.items[0].source, places[0], common.clip)
            return (Result(group.items[0].number, "done", report.output_sha256, words=str(places[0])),)
        chosen = {item.source: Choices(item.recipe.treatment) for item in group.items}
        outcomes = cloak_photos([item.source for item in group.items], places, common.photo, choices=chosen)
        return tuple(Result(item.number, outcome.kind, outcome.report and outcome.report.output_sha256,
                            words=outcome.error or str(place))
                     for item, place, outcome in zip(group.items, places, outcomes, strict=True))

    return do


def crowd(two_people, folder: Path) -> list[Group]:
    """Four photos and a tiny clip of two people, in four groups."""
    from PIL import Image

    solid, light = Recipe(Treatment("redact", "solid")), Recipe(Treatment("cloak", "light"))
    plan = [("photo", [0], solid), ("clip", [1], solid), ("photo", [2], light), ("photo", [3, 4], solid)]
    folder.mkdir(exist_ok=True)
    groups = []
    for number, (media, numbers, recipe) in enumerate(plan):
        items = []
        for item in numbers:
            source = folder / f"{NAME}-{item}.{'mp4' if media == 'clip' else 'jpg'}"
            frames = [np.roll(two_people, 3 * (item + step), axis=1) for step in range(6 if media == "clip" else 1)]
            if media == "clip":
                write_clip(source, frames)
            else:
                Image.fromarray(frames[0]).save(source, quality=95)
            items.append(Item(item, media, source, folder / "out" / source.name,
                              hashlib.sha256(source.read_bytes()).hexdigest(), recipe))
        groups.append(Group(number, tuple(items), frozenset(numbers)))
    return groups


def write_clip(path: Path, frames) -> None:
    import av

    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())


def test_two_nodes_of_which_one_is_killed_make_what_one_machine_makes(nodes, tmp_path, two_people, monkeypatch):
    """The second node comes later, does a group, and is killed with half a file written over the next."""
    import torch

    groups, folders = crowd(two_people, tmp_path), [tmp_path / "far", tmp_path / "near"]
    for folder in folders:
        folder.mkdir()
    far, near = (dataclasses.replace(ON_CPU, folder=folder) for folder in folders)
    do = engine(second=2, held_up=3)
    monkeypatch.setattr(on_ray, "_SECONDS_BETWEEN_ROLL_CALLS", 0.5)
    cluster, told = Cluster(nodes.address, do), {}
    for group, answer in cluster.run(iter(groups), far):
        assert group.number not in told and not isinstance(answer, Lost)
        told[group.number] = answer
        if group.number == 0:
            nodes.start("other", gpus=2)
        if group.number == 1:
            assert cluster.workers == 2 and (far.folder / "held-3").exists()
            nodes.kill("other")
    assert [note for note in cluster.notes if "was lost" in note]

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = {group.number: do(group, near) for group in groups}
    finally:
        torch.set_num_threads(threads)
    for number, answer in alone.items():
        for ours, theirs in zip(answer, told[number], strict=True):
            assert (theirs.number, theirs.state) == (ours.number, "done") == (ours.number, ours.state)
            made = Path(theirs.words).read_bytes()
            assert made == Path(ours.words).read_bytes() and len(made) > 1000
            assert hashlib.sha256(made).hexdigest() == theirs.output_sha256 == ours.output_sha256
    assert not (tmp_path / "out").exists()  # names are the driver's to give, and half a file never gets one


def test_the_command_makes_on_two_nodes_what_it_makes_alone(nodes, tmp_path, two_people):
    """Outputs, reports beside them, and what the ledger holds of them."""
    import sqlite3

    crowd(two_people, tmp_path / "in")
    for one in (2, 3):
        (tmp_path / "in" / f"{NAME}-{one}.jpg").unlink()
    nodes.start("second")
    code = "from cloak.cli import main; main()"
    held = []
    for name, more in (("far", ["--ray", nodes.address]), ("near", ["--workers", "1"])):
        run = subprocess.run([sys.executable, "-c", code, "batch", tmp_path / "in", "-o", tmp_path / name, "--photos",
                              "solid", "--device", "cpu", *more], capture_output=True, text=True)
        assert run.returncode in (0, 3), run.stdout + run.stderr  # 3: a person has to look at the clip
        with sqlite3.connect(tmp_path / f"{name}.batch" / "ledger.sqlite") as ledger:
            held.append((files(tmp_path / name), run.returncode, ledger.execute(
                "SELECT number, state, output_sha256 FROM items ORDER BY number").fetchall()))
    assert held[0] == held[1] and len(held[0][0]) == 6 and len(held[0][2]) == 3


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
