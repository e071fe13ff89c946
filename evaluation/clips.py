"""A clip to upright frames with their times, one in memory at a time; the judge's own decoder.

A clip that cannot be read to its end is refused: people in the part that is missing would pass for protected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from evaluation.errors import ChoiceUnknown, EvaluationFailed
from evaluation.faces import Pixels

# Mean grey difference between 32 x 18 thumbnails of neighbouring frames, of 255. At every second frame the three cuts
# of crowd-street and crowd-hard reach 31 to 51, and panning, zooming and shaking of both and of street.mp4 20.
CUT = 25.0
THUMBNAIL = (32, 18)
# Sides that differ by more were cropped: what scaling rounds stays below it.
SAME_ASPECT = 0.02


class ClipUnreadable(EvaluationFailed):
    """A file that should hold a video does not, or not all of it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a clip."""

    number: int  # counted among all frames, those left out too
    seconds: float  # from the first frame
    pixels: Pixels  # (H, W, 3) RGB, upright
    after_cut: bool  # the picture before was another shot; true of the first


def size(path: Path) -> tuple[int, int]:
    """(height, width) of the upright first frame.

    Raises:
        ClipUnreadable: no video, or damaged before its first frame.
    """
    height, width, _ = next(read(path)).pixels.shape
    return height, width


def enlargement(original: Path, copy: Path) -> float:
    """How much larger a copy is than its original.

    Raises:
        ClipUnreadable: it was cropped or turned, so that places in it mean something else.
    """
    (height, width), (new_height, new_width) = size(original), size(copy)
    if abs(new_width * height / (width * new_height) - 1) > SAME_ASPECT:
        raise ClipUnreadable(
            f"{copy}: {new_width} x {new_height} is no copy of {original}, which is {width} x {height}: it was cropped "
            "or turned. Nothing was judged."
        )
    return new_height / height


def read(path: Path, every: int = 1) -> Iterator[Frame]:
    """The frames 0, `every`, 2 `every`, ... of a clip.

    Raises:
        ClipUnreadable: no video, or damaged; possibly after the frames that could be read.
    """
    if every < 1:
        raise ChoiceUnknown(f"every {every}th frame: it must be 1 or more. Nothing was read.")
    number, start, before = -1, None, None
    try:
        with av.open(str(path)) as clip:
            if not clip.streams.video:
                raise ClipUnreadable(f"{path}: holds no video. Nothing was judged.")
            stream = clip.streams.video[0]
            stream.codec_context.thread_count = 1  # the machine is shared, as by everything here
            for number, picture in enumerate(clip.decode(stream)):
                if picture.is_corrupt:
                    raise ClipUnreadable(f"{path}: frame {number} is damaged. Nothing was judged.")
                if number % every:
                    continue
                seconds = picture.time if picture.time is not None else number / float(stream.average_rate or 25)
                start = seconds if start is None else start
                stored = picture.to_ndarray(format="rgb24")
                # The display matrix says how far to turn, against the clock.
                pixels = np.ascontiguousarray(np.rot90(stored, round(picture.rotation / 90)), np.uint8)
                small = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), THUMBNAIL, interpolation=cv2.INTER_AREA)
                thumbnail = small.astype(np.float32)
                cut = before is None or float(np.abs(thumbnail - before).mean()) > CUT
                before = thumbnail
                yield Frame(number, seconds - start, pixels, cut)
            promised = stream.frames
    except (av.error.FFmpegError, OSError) as error:
        raise ClipUnreadable(f"{path}: unreadable after {number + 1} frames ({error}). Nothing was judged.") from error
    if number < 0:
        raise ClipUnreadable(f"{path}: holds no frame. Nothing was judged.")
    # Zero where the container does not say. An edit list may hide the few frames of one group of pictures.
    if number + 1 < 0.9 * promised:
        raise ClipUnreadable(f"{path}: {number + 1} of {promised} frames could be read. Nothing was judged.")
