"""The work of a batch on a Ray cluster that runs already: a group a worker, a worker a GPU or a core.

Workers see the same folders as the driver, and leave what they make in the folder for temporary files. Only the driver
keeps the ledger and gives files their names, so a worker that was given up, and in truth goes on, publishes nothing.

Ray trusts whoever reaches its ports; see docs/cluster.md. Nothing is started here, and nothing tells of its use.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloak.batch import machines
from cloak.batch.machines import Device, Facts, Place
from cloak.batch.types import Common, Group, Lost, Result
from cloak.errors import ClusterUnusable

Do = Callable[[Group, Common], tuple[Result, ...]]

# How often a group is begun before it is given up: when workers die over it on nodes that live, and when nodes die
# under it, which is hardly ever its fault. It is always begun whole, for another company would make other bytes.
_DEATHS_OF_WORKERS, _DEATHS_OF_NODES = 2, 3
# A node on which workers die this often before they can begin gets no more
_FALSE_STARTS = 3
_SECONDS_BETWEEN_ROLL_CALLS = 5.0
_SECONDS_TO_ANSWER = 300.0  # a node reads all weight files first, perhaps from a network folder
_SECONDS_ALONE = 120.0  # how long the last group waits for a node to come back

# At a wrong address Ray would try for minutes, and fill the terminal
_PATIENCE = {"RAY_NUM_REDIS_GET_RETRIES": "1", "RAY_py_gcs_connect_timeout_s": "10", "RAY_BACKEND_LOG_LEVEL": "error"}
_KINDS: dict[Device, str] = {"cpu": "core", "cuda": "GPU"}

_log = logging.getLogger(__name__)


class _Worker:
    """A process on a node. It keeps its networks from group to group."""

    def start(self, device: Device) -> None:
        """One thread: how many there are changes what comes out, and a core has one worker."""
        if device == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        import cv2
        import torch

        torch.set_num_threads(1)
        cv2.setNumThreads(1)

    def do(self, group: Group, common: Common, do: Do) -> tuple[Result, ...] | Lost:
        try:
            return do(group, common)
        except MemoryError:
            os._exit(1)  # what is left of the process is not to be trusted
        except Exception as error:  # a defect of ours, or a disk that is gone; its words may hold names
            last = traceback.extract_tb(error.__traceback__)[-1]
            return Lost(f"{type(error).__name__} in {os.path.basename(last.filename)}, line {last.lineno}")


@dataclass(slots=True)
class _Hand:
    """A worker as the driver sees it."""

    actor: Any
    place: Place


@dataclass(slots=True)
class _Begun:
    """A group and how often it was begun in vain."""

    group: Group
    dead_workers: int = 0
    dead_nodes: int = 0


@dataclass(slots=True)
class _State:
    """What a run knows at one moment. Keys of the dictionaries are promises of Ray."""

    ours: Facts  # of the driver
    device: Device  # that of the driver: the ledger holds what it would make
    asked: dict[Any, tuple[str, float]] = field(default_factory=dict)  # -> the node that was asked what it is, and when
    starting: dict[Any, _Hand] = field(default_factory=dict)
    idle: list[_Hand] = field(default_factory=list)
    busy: dict[Any, tuple[_Hand, _Begun]] = field(default_factory=dict)
    again: deque[_Begun] = field(default_factory=deque)
    known: dict[str, str] = field(default_factory=dict)  # every node ever seen -> its name for people
    facts: dict[str, Facts] = field(default_factory=dict)  # of the nodes that may work
    false_starts: dict[str, int] = field(default_factory=dict)
    is_begun: bool = False  # whether a group was handed out: later nodes are turned away, and end nothing


class Cluster:
    """Has groups done on the nodes of a Ray cluster; see `cloak.batch.types.Runner`.

    Args:
        address: `host:port` of a cluster that runs, or `auto`: the one that this machine is part of.
        do: what workers do with a group. A function of this package is sent by its name, and nodes take their own,
            whose files were compared; only one that is made inside another is sent whole.
    Raises:
        ClusterUnusable: `address` is none, or Ray is not installed.
    """

    def __init__(self, address: str, do: Do) -> None:
        self._address, self._do = _checked(address), do
        self._ray = _ray()
        self.notes: list[str] = []  # what a person should know of the cluster, as soon as `run` has begun
        self.workers = 0  # at this moment

    def run(self, groups: Iterable[Group], common: Common) -> Iterator[tuple[Group, tuple[Result, ...] | Lost]]:
        """Each group with what became of it. A group is begun again elsewhere when its node dies.

        Raises:
            ClusterUnusable: there is no cluster, it tells of its use, a node would make other bytes or sees other
                folders, or no node is left. Groups of which nothing was said are not done.
        """
        waiting = iter(groups)
        first = next(waiting, None)
        if first is None:
            return
        with self._joined():
            state = _State(machines.facts(), _device(common), again=deque([_Begun(first)]))
            try:
                yield from self._run(state, first, waiting, common)
            finally:
                for hand in [*state.starting.values(), *state.idle, *(hand for hand, _ in state.busy.values())]:
                    self._let_go(hand)

    def _run(self, state: _State, first: Group, waiting: Iterator[Group],
             common: Common) -> Iterator[tuple[Group, tuple[Result, ...] | Lost]]:
        ray = self._ray
        with _marked(common.folder or first.items[0].output.parent) as (folder, mark):
            roll_call, alone_since = -_SECONDS_BETWEEN_ROLL_CALLS, time.monotonic()
            while True:
                if time.monotonic() - roll_call >= _SECONDS_BETWEEN_ROLL_CALLS:
                    roll_call = time.monotonic()
                    self._call_the_roll(state, first, folder, mark)
                if not state.is_begun and not state.asked:
                    self._take_in(state)
                    state.is_begun = True
                self._hand_out(state, waiting, common)
                if not state.busy and state.idle:  # nothing is left to hand out
                    return
                if state.busy or state.starting or state.asked:
                    alone_since = time.monotonic()
                elif time.monotonic() - alone_since > _SECONDS_ALONE:
                    raise ClusterUnusable("no node of the cluster is left that works. What was done is in the ledger; "
                                          "run the same command again when nodes are back.")
                promises = [*state.busy, *state.starting, *state.asked]
                if not promises:
                    time.sleep(0.5)
                    continue
                ready, _ = ray.wait(promises, num_returns=1, timeout=1.0)
                ready += [promise for promise, (_, asked) in state.asked.items()
                          if promise not in ready and time.monotonic() - asked > _SECONDS_TO_ANSWER]
                for promise in ready:
                    if promise in state.asked:
                        self._hear(state, promise, folder, first)
                    elif promise in state.starting:
                        self._start(state, promise)
                    elif (told := self._collect(state, promise)) is not None:
                        self._hand_out(state, waiting, common)  # nobody waits while the caller looks at what was made
                        yield told

    def _hand_out(self, state: _State, waiting: Iterator[Group], common: Common) -> None:
        while state.is_begun and state.idle and (begun := _next(state.again, waiting)):
            hand = state.idle.pop()
            state.busy[hand.actor.do.remote(_whole(begun.group), _absolute(common), self._do)] = hand, begun
        self.workers = len(state.idle) + len(state.busy)

    # --- nodes ---------------------------------------------------------------------------------------------------

    def _call_the_roll(self, state: _State, first: Group, folder: Path, mark: str) -> None:
        """Ask every node that was not there the last time what it is."""
        ray = self._ray
        for node in ray.nodes():
            number = node["NodeID"]
            if not node["Alive"] or number in state.known:
                continue
            state.known[number] = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
            ask = ray.remote(machines.answer).options(num_cpus=0, max_retries=0, scheduling_strategy=_on(number))
            state.asked[ask.remote(first.items[0].source.absolute(), folder, mark)] = number, time.monotonic()

    def _hear(self, state: _State, promise: Any, folder: Path, first: Group) -> None:
        """Take a node in, or say why not. Before the first group that ends the run, later only the node stays out."""
        number, _ = state.asked.pop(promise)
        name = state.known[number]
        try:
            said = self._ray.get(promise, timeout=0)
        except self._ray.exceptions.RayTaskError as error:
            why = f"cannot run facecloak ({_last_line(error)}). Install the same facecloak there"
        except self._ray.exceptions.RayError as error:
            if number not in self._alive():
                return  # it died meanwhile
            why = f"gives no answer ({_last_line(error)})"
        else:
            why = _objection(said, state.ours, folder, first)
            if said.get("mark") is not None:
                machines.take_mark(folder, said["mark"])
            if not why:
                state.facts[number] = said["facts"]
        if why and not state.is_begun:
            raise ClusterUnusable(f"the node {name} {why}. Nothing was done.")
        if why:
            self._note(f"the node {name} came later and gets no work: it {why}")
        elif state.is_begun:
            self._take_in(state)

    def _take_in(self, state: _State) -> None:
        """Start workers on every node that may work and has none."""
        nodes = {node["NodeID"]: node["Resources"] for node in self._ray.nodes() if node["Alive"]}
        at_work = {hand.place.node for hand in self._hands(state)}
        for number in [number for number in state.facts if number in nodes and number not in at_work]:
            found = machines.places(number, nodes[number], state.device)
            for place in found:
                self._open(state, place)
            if not found:
                self._note(f"the node {state.known[number]} gets no work: it offers no {_KINDS[state.device]}")
        if state.is_begun:
            return
        if not state.starting:
            raise ClusterUnusable(f"no node of the cluster offers a {_KINDS[state.device]}. Start nodes with "
                                  "--num-cpus or --num-gpus, or choose another --device. Nothing was done.")
        if state.device == "cpu" and any(nodes[hand.place.node].get("GPU", 0) for hand in state.starting.values()):
            self._note("the GPUs of the cluster stay idle, for they make other bytes than this machine, which has "
                       "none: to use them, run the command on a node with a GPU")
        kinds = {state.ours.processor, *(facts.processor for facts in state.facts.values())}
        if len(kinds) > 1:
            self._note(f"processors of several kinds ({', '.join(sorted(kinds))}) may round differently: the same "
                       "photo may get other bytes there, just as well protected")

    def _open(self, state: _State, place: Place) -> None:
        kind = self._ray.remote(_Worker).options(
            num_cpus=1 if place.device == "cpu" else 0, num_gpus=1 if place.device == "cuda" else 0,
            max_restarts=0, max_task_retries=0, scheduling_strategy=_on(place.node))
        hand = _Hand(kind.remote(), place)
        state.starting[hand.actor.start.remote(place.device)] = hand

    # --- workers -------------------------------------------------------------------------------------------------

    def _start(self, state: _State, promise: Any) -> None:
        hand = state.starting.pop(promise)
        try:
            self._ray.get(promise)
        except self._ray.exceptions.RayError as error:
            node = hand.place.node
            state.false_starts[node] = state.false_starts.get(node, 0) + 1
            if state.false_starts[node] < _FALSE_STARTS or node not in self._alive():
                self._replace(state, hand)
            elif state.facts.pop(node, None) is not None:
                self._note(f"workers on {state.known[node]} died before they could begin ({_last_line(error)}); it "
                           "gets no more work")
        else:
            state.false_starts.pop(hand.place.node, None)
            state.idle.append(hand)

    def _collect(self, state: _State, promise: Any) -> tuple[Group, tuple[Result, ...] | Lost] | None:
        """What became of a group; None where it is begun again."""
        hand, begun = state.busy.pop(promise)
        errors = self._ray.exceptions
        try:
            answer: tuple[Result, ...] | Lost = self._ray.get(promise)
        except errors.RayError as error:
            why = _last_line(error)
            self._replace(state, hand)
            # Not its fault: the node is gone, or the driver cannot reach it. There the worker may go on, unseen.
            if hand.place.node not in self._alive() or isinstance(error, errors.ActorUnavailableError):
                begun.dead_nodes += 1
            else:
                begun.dead_workers += 1
            if begun.dead_workers >= _DEATHS_OF_WORKERS or begun.dead_nodes >= _DEATHS_OF_NODES:
                return begun.group, Lost(f"its worker on {state.known[hand.place.node]} died: {why}")
            state.again.append(begun)
            return None
        state.idle.append(hand)
        return begun.group, answer

    def _replace(self, state: _State, hand: _Hand) -> None:
        """Another worker in the place of one that is gone, if its node is not."""
        self._let_go(hand)
        node = hand.place.node
        if node in self._alive():
            self._open(state, hand.place)
        elif state.facts.pop(node, None) is not None:
            self._note(f"the node {state.known[node]} was lost; what it worked on is begun again elsewhere")

    def _let_go(self, hand: _Hand) -> None:
        with contextlib.suppress(Exception):  # whatever happens to a worker that nobody waits for
            self._ray.kill(hand.actor, no_restart=True)

    def _hands(self, state: _State) -> list[_Hand]:
        return [*state.starting.values(), *state.idle, *(hand for hand, _ in state.busy.values())]

    def _alive(self) -> set[str]:
        return {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}

    def _note(self, words: str) -> None:
        self.notes.append(words)
        _log.warning("%s", words)

    # --- joining -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _joined(self) -> Iterator[None]:
        """Joined to the cluster, quietly, until the block is left."""
        ray = self._ray
        if ray.is_initialized():
            raise ClusterUnusable("this program is joined to a cluster already. Nothing was done.")
        try:
            with _signals_kept():
                # Given an address Ray joins or fails; only without one it would start a cluster
                ray.init(address=self._address, log_to_driver=False, configure_logging=False,
                         logging_level=logging.ERROR, namespace="facecloak", _skip_env_hook=True)
        except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
            raise ClusterUnusable(f"no Ray cluster can be joined at {self._address} ({_last_line(error)}). It has to "
                                  "run, this machine has to be one of its nodes, and Ray and Python have to be of the "
                                  "same version everywhere. Nothing was started, nothing was done.") from error
        try:
            if _tells_of_its_use(ray):
                raise ClusterUnusable("this cluster tells its makers over the internet how it is used. Start its head "
                                      "with `ray start --head --disable-usage-stats`. Nothing was done.")
            # What it has to say of dying nodes it would print among the output of the program
            ray._private.worker._worker_logs_enabled = False
            yield
        finally:
            with _signals_kept():
                ray.shutdown()


def _ray() -> Any:
    """Ray, told before it is imported that nothing may leave.

    Raises:
        ClusterUnusable: it is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"  # would copy the working folder to every node
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.exceptions
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise ClusterUnusable(f"Ray cannot be used ({error}). Install it on every machine with `pip install "
                              "facecloak[cluster]`. Nothing was done.") from error
    return ray


def _checked(address: str) -> str:
    """`address`, or the one in RAY_ADDRESS for `auto`, as far as it only ever joins."""
    meant = os.environ.get("RAY_ADDRESS") or address if address == "auto" else address
    if meant != "auto" and not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+):\d{1,5}", meant):
        raise ClusterUnusable(f"{meant!r} is no address of a Ray cluster. Give host:port as `ray start --head` printed "
                              "it, or auto on a machine that is part of one. Nothing was started, nothing was done.")
    return meant


def _tells_of_its_use(ray: Any) -> bool:
    """Whether the head was started with its telemetry: only then these two stand among what it says of itself."""
    from ray._common.usage import usage_lib

    said = usage_lib.get_cluster_metadata(ray._private.worker.global_worker.gcs_client) or {}
    return "git_commit" in said or "session_start_timestamp_ms" in said


def _device(common: Common) -> Device:
    import torch

    wanted = common.photo.device
    return wanted if wanted != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def _on(node: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node, soft=False)


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself; afterwards it is the caller's again."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)


# --- folders ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _marked(wanted: Path) -> Iterator[tuple[Path, str]]:
    """Where workers leave what they make, or the nearest folder that exists, with a mark by which nodes know it."""
    folder = machines.nearest_folder(wanted.absolute())
    try:
        mark = machines.leave_mark(folder)
    except OSError as error:
        raise ClusterUnusable(f"{folder}: cannot be written ({error.strerror}). Nothing was done.") from error
    try:
        yield folder, mark
    finally:
        with contextlib.suppress(OSError):
            machines.take_mark(folder, mark)


def _objection(said: dict[str, Any], ours: Facts, folder: Path, first: Group) -> str:
    """Why a node may not work, after what it said; empty where it may."""
    if "error" in said:
        return f"cannot work: {said['error']}"
    if found := machines.differences(ours, said["facts"]):
        return f"would make other bytes than this machine: {'; '.join(found)}. Install the same on both"
    if said["mark"] is None or not machines.find_mark(folder, said["mark"]):
        why = said.get("why", "writes to another folder of that name")
        return f"does not share {folder}: it {why}. Mount it at the same path on every machine"
    source = first.items[0].source
    here = machines.beginning(source)
    if here is not None and said["beginning"] != here:
        return f"does not share {source.parent}: {source.name} is another file there, or none. Mount it likewise"
    return ""


def _whole(group: Group) -> Group:
    """The group with absolute paths: a node works in another folder."""
    return dataclasses.replace(group, items=tuple(
        dataclasses.replace(item, source=item.source.absolute(), output=item.output.absolute(),
                            recipe=dataclasses.replace(item.recipe, keep_person=tuple(
                                path.absolute() for path in item.recipe.keep_person)))
        for item in group.items))


def _absolute(common: Common) -> Common:
    return common if common.folder is None else dataclasses.replace(common, folder=common.folder.absolute())


def _next(again: deque[_Begun], waiting: Iterator[Group]) -> _Begun | None:
    if again:
        return again.popleft()
    group = next(waiting, None)
    return None if group is None else _Begun(group)


def _last_line(error: BaseException) -> str:
    """What Ray says in short; its errors carry whole traces."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if isinstance(error, ImportError) or "Traceback" in str(error) else lines[0])[:200] if lines \
        else type(error).__name__
