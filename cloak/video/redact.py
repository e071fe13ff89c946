"""Joins the parts: probe, plan, decide, paint, write, look again, rename, report."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import cloak
from cloak import weights
from cloak.errors import ChoicesInvalid, ClipUnreadable, ClipUnsupported, NoFaceFound, OutputRefused, PlanInvalid
from cloak.files import check_output, fitted_name, own_folder, pending_file, shown, write_new
from cloak.report import report_path_for
from cloak.video import checking, clips, ffmpeg, review
from cloak.video.checking import Check, Expected, Leak
from cloak.video.ffmpeg import Encoding
from cloak.video.look import Look
from cloak.video.painting import Painter
from cloak.video.plan import check_clip, rounded, write_plan
from cloak.video.types import Area, Clip, Frame, Plan

SCHEMA = "facecloak-video/1"
# In the work folder, beside the checkpoint
_REHEARSAL, _PART = "rehearsal", "part"


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle that a person drew, in pixels of the upright picture, for a time or for all of the clip."""

    x: int
    y: int
    width: int
    height: int
    start_s: float = 0.0
    end_s: float | None = None

    def __post_init__(self) -> None:
        end = math.inf if self.end_s is None else self.end_s
        if self.width < 1 or self.height < 1 or not 0 <= self.start_s < end:
            raise ChoicesInvalid(f"the region {self.x},{self.y},{self.width},{self.height} from {self.start_s:g} to "
                                 f"{'the end' if self.end_s is None else f'{self.end_s:g}'} seconds holds nothing. "
                                 "Nothing was written.")


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """Everything a user can choose for one clip."""

    look: Look | None = None  # None: that of the plan, or solid black
    keep: tuple[int, ...] = ()  # tracks left as they are
    only: tuple[int, ...] | None = None  # no other track is covered
    regions: tuple[Region, ...] = ()
    keep_person: tuple[Path, ...] = ()  # reference photos; face recognition, so never by default
    encoding: Encoding = Encoding()
    overwrite: bool = False
    allow_damage: bool = False  # take what can be decoded of a damaged clip
    no_face: Literal["refuse", "clean"] = "refuse"  # clean: a clip in which none is seen is written without metadata
    quick: bool = False  # look for faces in every second frame, smaller: much faster, and it misses more
    accept_uncovered: bool = False  # seconds outside the span of the look are meant to stay as they are
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.keep and self.only is not None:
            raise ChoicesInvalid("keep and only do not go together. Nothing was written.")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a clip is, for whoever is waiting."""

    stage: str  # looking, recognising, writing, checking
    done: int  # frames
    frames: int | None  # in all; None where nobody knows


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class TrackReport:
    """What happened to one track. It says when somebody was there, and never where."""

    number: int
    decision: str
    style: str
    first_s: float
    last_s: float
    frames: int
    seen: int  # of these frames, those in which a detector saw it
    is_lost: bool


@dataclass(frozen=True, slots=True)
class VideoReport:
    """Everything known about one written clip. No picture data, and no places."""

    input: str  # file name without folder
    output: str
    input_sha256: str
    output_sha256: str
    size: tuple[int, int]
    frames: int
    duration_s: float
    tracks: tuple[TrackReport, ...]
    regions: int
    leaks: tuple[Leak, ...]
    troubles: tuple[str, ...]
    looked_at_again: int  # frames
    uncovered_s: tuple[tuple[float, float], ...]  # spans outside that of the look: nothing was covered there
    left_out: tuple[str, ...]
    notes: tuple[str, ...]
    settings: dict[str, Any]
    versions: dict[str, str]
    weights: dict[str, str]
    words: str

    @property
    def needs_a_look(self) -> bool:
        """Whether something was found that a person has to look at before this is published."""
        is_accepted = bool(self.settings["accept_uncovered"])
        was_anything_covered = bool(self.tracks or self.regions)
        return bool(self.leaks or self.troubles or (self.uncovered_s and not is_accepted)) or not was_anything_covered


def redact_video(source: Path, output: Path, settings: VideoSettings, *, plan: Plan | None = None,
                 sheet: Path | None = None, on_progress: OnProgress | None = None) -> VideoReport:
    """Covers the faces of a clip and judges the written file. The output gets its name last, the input is not touched.

    A run that was killed goes on looking where it stopped: what it saw lies in a hidden folder beside the output until
    the clip is done. From the same plan and settings come the same bytes.

    Args:
        plan: made before, and perhaps changed by hand; None makes one.
        sheet: where a contact sheet goes as well, `.html` or `.png`.
    Raises:
        NoFaceFound: there is nothing to cover, and `settings.no_face` is `refuse`.
        CloakError: see the parts. No output exists then.
    """
    _check_outputs([output, report_path_for(output), *([sheet] if sheet else [])], source, settings)
    clip = clips.probe(source)
    with _work_folder(output) as folder:
        ffmpeg.rehearse(clip, folder / _REHEARSAL, settings.encoding, named=output,
                        on_damage=_ignored if settings.allow_damage else None)
        sha256 = clips.sha256_of(source)
        damage: list[str] = []
        made, look, times = _planned(clip, sha256, settings, plan, folder, damage, on_progress)
        Painter(made, clip, look)  # what is wrong with a picture shows before any long work
        if not made.tracks and not made.areas and settings.no_face == "refuse":
            _forget(folder)
            raise NoFaceFound(f"{source}: no face was seen in {made.frames} frames, nothing written. If there is one, "
                              "draw it with --regions.")
        if sheet is not None:
            _write_sheet(clip, made, sheet, settings)
        report = _write(clip, sha256, output, made, look, settings, damage, times, folder, on_progress)
        _forget(folder)
    return report


def plan_video(source: Path, output: Path, settings: VideoSettings, *, plan: Plan | None = None,
               sheet: Path | None = None, on_progress: OnProgress | None = None) -> Plan:
    """Looks for faces and writes the plan, for a person to review, correct and render. No video is written.

    Raises:
        CloakError: see `redact_video`. A clip without a face has a plan too.
    """
    _check_outputs([output, *([sheet] if sheet else [])], source, settings)
    clip = clips.probe(source)
    with _work_folder(output) as folder:
        made, _, _ = _planned(clip, clips.sha256_of(source), settings, plan, folder, [], on_progress)
        if sheet is not None:
            _write_sheet(clip, made, sheet, settings)
        write_plan(made, output, overwrite=settings.overwrite, inputs=(source,))
        _forget(folder)
    return made


def to_dict(report: VideoReport) -> dict[str, Any]:
    """The report as JSON types only, names without folders and safe to print."""
    fields = dataclasses.asdict(report)
    return {"schema": SCHEMA, **fields, "input": shown(report.input), "output": shown(report.output)}


# --- planning ----------------------------------------------------------------------------------------------------


def _planned(clip: Clip, sha256: str, settings: VideoSettings, plan: Plan | None, folder: Path, damage: list[str],
             on_progress: OnProgress | None) -> tuple[Plan, Look, dict[int, float]]:
    """The plan with all decisions in it, how covers look, and the times of frames as far as they were needed."""
    if plan is None:
        plan = _look_for_faces(clip, sha256, settings, folder, damage, on_progress)
    check_clip(plan, sha256=sha256, size=clip.size, clip=clip.path)
    look = settings.look
    if look is None:
        known = plan.settings.get("look")
        look = Look() if known is None else Look.from_dict(known, named=plan.clip)
    plan = rounded(plan)
    times: dict[int, float] = {}
    if settings.regions:
        plan = dataclasses.replace(plan, areas=(*plan.areas, *_areas(clip, plan, settings, times)))
    if settings.keep_person:
        from cloak.video import person  # late, for torch takes seconds

        if on_progress is not None:
            on_progress(Progress("recognising", 0, None))
        numbers = person.tracks_of(settings.keep_person, clip, plan, device=settings.device)
        plan = _kept(plan, set(numbers))
    plan = decided(plan, settings)
    return dataclasses.replace(plan, settings={**plan.settings, "look": look.to_dict()}), look, times


def _look_for_faces(clip: Clip, sha256: str, settings: VideoSettings, folder: Path, damage: list[str],
                    on_progress: OnProgress | None) -> Plan:
    """The one place where a plan is made from the clip itself."""
    from cloak.video import planning

    def told(done: int) -> None:
        if on_progress is not None:
            on_progress(Progress("looking", done, clip.frames))

    def frames(start: int) -> Iterator[Frame]:
        return clips.frames(clip, start=start, on_damage=damage.append if settings.allow_damage else None)

    try:
        return planning.make_plan(clip, frames, sha256=sha256, checkpoint=folder, quick=settings.quick, on_frame=told)
    except (ClipUnreadable, ClipUnsupported):  # it will not be better the next time
        _forget(folder)
        raise


def decided(plan: Plan, settings: VideoSettings) -> Plan:
    """The plan with the tracks kept or hidden that the settings name.

    Raises:
        ChoicesInvalid: they name one that the plan does not have.
    """
    known = {track.number for track in plan.tracks}
    if unknown := sorted({*settings.keep, *(settings.only or ())} - known):
        has = "no track" if not known else f"{len(known)} tracks"
        raise ChoicesInvalid(f"{plan.clip}: track {', '.join(map(str, unknown))} was named, and the clip has {has}. "
                             "--sheet shows the numbers. Nothing was written.")
    plan = _kept(plan, set(settings.keep))
    return plan if settings.only is None else _kept(plan, known - set(settings.only))


def _kept(plan: Plan, numbers: set[int]) -> Plan:
    return dataclasses.replace(plan, tracks=tuple(
        dataclasses.replace(track, decision="keep") if track.number in numbers else track for track in plan.tracks))


def _areas(clip: Clip, plan: Plan, settings: VideoSettings, times: dict[int, float]) -> list[Area]:
    """The regions in frames. Of a variable rate only the frames themselves know when they are shown."""
    if any(region.start_s > 0 or region.end_s is not None for region in settings.regions):
        times.update((frame.number, frame.seconds) for frame in clips.frames(
            clip, on_damage=_ignored if settings.allow_damage else None))
    found = []
    for region in settings.regions:
        box = (float(region.x), float(region.y), float(region.x + region.width), float(region.y + region.height))
        if region.x >= clip.size[0] or region.y >= clip.size[1] or box[2] <= 0 or box[3] <= 0:
            raise ChoicesInvalid(f"{clip.path}: the region {region.x},{region.y},{region.width},{region.height} lies "
                                 f"outside the picture of {clip.size[0]} x {clip.size[1]} pixels. Nothing was written.")
        # A frame is shown until the next one: the one before the start is part of the time too
        last_end = times.get(plan.frames - 1, math.inf) + 1 / float(clip.rate)
        inside = [number for number in range(plan.frames) if times.get(number + 1, last_end) > region.start_s
                  and (region.end_s is None or times.get(number, 0.0) < region.end_s)]
        if not inside:
            raise ChoicesInvalid(f"{clip.path}: no frame is shown from {region.start_s:g} to {region.end_s:g} seconds. "
                                 "Nothing was written.")
        found.append(Area(box, inside[0], inside[-1]))
    return found


def _ignored(words: str) -> None:
    """Damage is told once, by the pass that renders."""


def _write_sheet(clip: Clip, plan: Plan, sheet: Path, settings: VideoSettings) -> None:
    review.write_sheet(review.make_sheet(clip, plan), plan, sheet, overwrite=settings.overwrite, inputs=(clip.path,))


# --- writing -----------------------------------------------------------------------------------------------------


def _write(clip: Clip, sha256: str, output: Path, plan: Plan, look: Look, settings: VideoSettings, damage: list[str],
           times: dict[int, float], folder: Path, on_progress: OnProgress | None) -> VideoReport:
    """Write beside, read again, judge, then rename; the report goes first, so that no clip stands without one."""
    def told(stage: str) -> Callable[[int], None] | None:
        return None if on_progress is None else lambda done: on_progress(Progress(stage, done, plan.frames))

    expected = Expected()
    with pending_file(output, overwrite=settings.overwrite, inputs=[clip.path], temporary=folder / _PART) as pending:
        painted = _painted(clip, Painter(plan, clip, look), plan, expected, times, settings, damage)
        written = ffmpeg.write(clip, pending.temporary, painted, settings.encoding, named=output,
                               on_frame=told("writing"))
        check = checking.look_again(pending.temporary, clip, plan, look, expected, _second_look(),
                                    on_frame=told("checking"))
        made = _report(clip, sha256, output, pending.temporary, plan, look, settings, check, written, damage, times)
        data = (json.dumps(to_dict(made), indent=2, allow_nan=False) + "\n").encode("ascii")
        beside = report_path_for(output)
        pending.flush()  # before the report has its name: killed between the two, the next run would find it in its way
        write_new(beside, data, overwrite=settings.overwrite, inputs=[clip.path])
        try:
            pending.commit()
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
    return made


def _painted(clip: Clip, painter: Painter, plan: Plan, expected: Expected, times: dict[int, float],
             settings: VideoSettings, damage: list[str]) -> Iterator[Frame]:
    """The frames of the clip, covered; what each pass says of damage is told once."""
    found: list[str] = []
    wanted = {frame for track in plan.tracks for frame in (track.spots[0].frame, track.spots[-1].frame)}
    number = -1
    for frame in clips.frames(clip, on_damage=found.append if settings.allow_damage else None):
        number = frame.number
        if number >= plan.frames:
            break
        if number in wanted:
            times[number] = frame.seconds
        expected.note(frame, painter.paint(frame))
        yield frame
    if number + 1 != plan.frames:
        how_many = f"more than {plan.frames}" if number >= plan.frames else str(number + 1)
        raise PlanInvalid(f"{clip.path}: {how_many} frames can be decoded, the plan is for {plan.frames}. Make the "
                          "plan again with --plan-only. Nothing was written.")
    damage.extend(words for words in found if words not in damage)


@cache
def _second_look() -> checking.Find:
    from cloak.detectors import centerface  # late, for a plan alone needs none

    return centerface.CenterFace(threads=1).detect


def _report(clip: Clip, sha256: str, output: Path, temporary: Path, plan: Plan, look: Look, settings: VideoSettings,
            check: Check, written: ffmpeg.Written, damage: Sequence[str], times: dict[int, float]) -> VideoReport:
    duration = expected_end = max(clip.duration_s or 0.0, max(times.values(), default=0.0))
    uncovered = []
    if look.start_s > 0:
        uncovered.append((0.0, min(look.start_s, expected_end)))
    if look.end_s is not None and look.end_s < expected_end:
        uncovered.append((look.end_s, expected_end))
    tracks = tuple(TrackReport(
        track.number, track.decision, track.style or look.style, round(times.get(track.spots[0].frame, 0.0), 3),
        round(times.get(track.spots[-1].frame, 0.0), 3), len(track.spots),
        sum(spot.source == "seen" for spot in track.spots), track.is_lost) for track in plan.tracks)
    troubles = (*check.troubles, *damage)
    encoding = dataclasses.asdict(settings.encoding)
    return VideoReport(
        input=clip.path.name, output=output.name, input_sha256=sha256, output_sha256=clips.sha256_of(temporary),
        size=clip.size, frames=check.frames, duration_s=round(duration, 3), tracks=tracks, regions=len(plan.areas),
        leaks=check.leaks, troubles=troubles, looked_at_again=check.looked_at, uncovered_s=tuple(uncovered),
        left_out=clip.left_out, notes=(*clip.notes, *written.notes),
        settings={"look": look.to_dict(), "encoding": {**encoding, "mute_spans": [list(s) for s in
                                                                                  settings.encoding.mute_spans]},
                  "accept_uncovered": settings.accept_uncovered, "keep_person": len(settings.keep_person)},
        versions={**plan.versions, "facecloak": cloak.__version__, "ffmpeg": written.ffmpeg,
                  "encoder": written.encoder},
        weights={**plan.weights, "centerface": weights.registry()["centerface"].sha256},
        words=_words(tracks, len(plan.areas), check, troubles, uncovered, settings),
    )


def _words(tracks: Sequence[TrackReport], regions: int, check: Check, troubles: Sequence[str],
           uncovered: Sequence[tuple[float, float]], settings: VideoSettings) -> str:
    hidden = sum(track.decision == "hide" for track in tracks)
    if not tracks and not regions:
        said = ["LOOK: NO face was seen, so nothing was covered"]
    else:
        said = [f"{_count(hidden, 'track')} covered"]
    if regions:
        said.append(f"{_count(regions, 'region')} covered")
    if kept := [str(track.number) for track in tracks if track.decision == "keep"]:
        said.append(f"kept uncovered: {', '.join(kept)}")
    lines = [f"{'; '.join(said)}; {check.frames} frames."]
    if uncovered:
        spans = ", ".join(f"{clips.time_code(a)} to {clips.time_code(b)}" for a, b in uncovered)
        lines.append(f"NOTHING was covered from {spans}{', as accepted' if settings.accept_uncovered else ''}.")
    if check.leaks:
        where = ", ".join(clips.time_code(leak.first_s) for leak in check.leaks[:5]) + ", ..." * (len(check.leaks) > 5)
        lines.append("LOOK at the output: what may be an uncovered face was seen in "
                     f"{_count(len(check.leaks), 'place')}, at {where}.")
    lines += [f"LOOK: {trouble}." for trouble in troubles]
    if not check.leaks and not troubles:
        lines.append(f"A second look at {_count(check.looked_at, 'frame')} found no other face. Detectors miss some: "
                     "watch the clip before you publish it.")
    return " ".join(lines)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


# --- files -------------------------------------------------------------------------------------------------------


def _check_outputs(outputs: Sequence[Path], source: Path, settings: VideoSettings) -> None:
    if not source.exists():  # before an output beside it is judged
        raise ClipUnreadable(f"{source}: does not exist. Nothing was written.")
    seen: set[Path] = set()
    for path in outputs:
        if path in seen:
            raise OutputRefused(f"{path}: is named for two outputs. Nothing was written.")
        seen.add(path)
        check_output(path, overwrite=settings.overwrite, inputs=[source])


@contextlib.contextmanager
def _work_folder(output: Path) -> Iterator[Path]:
    """Where a run leaves what it has seen, for the next one if it is killed, and where it writes until it is done."""
    with own_folder(output.with_name(fitted_name(f".{output.name}", ".facecloak", room=0)), named=output) as folder:
        yield folder


def _forget(folder: Path) -> None:
    """Empties it. The folder itself stays until it is let go of."""
    with contextlib.suppress(OSError):  # what cannot be removed is no reason to fail a clip that is done
        for path in folder.iterdir():
            path.unlink()
