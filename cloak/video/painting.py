"""Puts covers into a frame's planes, in place: at every depth and subsampling, without a conversion of colours."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from cloak.errors import SettingsInvalid
from cloak.masks import Patch
from cloak.video import covers
from cloak.video.covers import Texture
from cloak.video.look import Look
from cloak.video.palette import Palette, subsampling
from cloak.video.shapes import Cover, Shapes, clipped, subsampled
from cloak.video.types import Clip, Frame, Plan, Plane


class Painter:
    """Covers what a plan hides. Frames are to come in their order, for covers keep their colours over a track."""

    def __init__(self, plan: Plan, clip: Clip, look: Look) -> None:
        """Raises SettingsInvalid where a picture is wanted and there is none that can be read."""
        self._plan, self._look = plan, look
        self._palette = Palette.of(clip)
        self._solid = self._palette.solid(look.colour)
        self.shapes = Shapes(plan, look)
        self._textures: dict[tuple[str, int], Texture] = {}
        self._picture: NDArray[np.float32] | None = None
        if "picture" in (look.style, *(track.style for track in plan.tracks)):
            if look.picture is None:
                raise SettingsInvalid("the style is picture, and no picture was named. Give --picture FILE. "
                                      "Nothing was written.")
            self._picture = covers.read_picture(look.picture, self._palette, look.colour)

    def paint(self, frame: Frame) -> list[Cover]:
        """Cover the frame's faces in its planes, and say which covers these are. No other sample changes: of luma none
        outside the covers, of chroma none that no covered pixel, or neighbour of one, has a part in.

        Raises:
            ValueError: the frame has another size than the plan.
        """
        planes = frame.planes
        if planes[0].shape != self._plan.size[::-1]:
            raise ValueError(f"frame {frame.number} has {planes[0].shape[1]} x {planes[0].shape[0]} pixels, the plan "
                             f"is for {self._plan.size[0]} x {self._plan.size[1]}. It was not painted")
        if not self._look.is_within(frame.seconds):
            return []
        if self.shapes.is_whole(frame.number):
            for plane, value in zip(planes, self._solid):
                plane[...] = value
            return []
        wanted = self.shapes.at(frame.number)
        steps = [subsampling(planes[0].shape, plane.shape) for plane in planes]
        patches: list[dict[tuple[int, int], Patch]] = [
            {step: subsampled(cover.patch, *step) for step in set(steps)} for cover in wanted]
        self._choose_colours(wanted, patches, planes, steps)
        for cover, of_step in zip(wanted, patches):
            for index, (plane, step) in enumerate(zip(planes, steps)):
                (rows, columns), mask = clipped(of_step[step], plane.shape)
                if mask.size:
                    window = plane[rows, columns]
                    np.copyto(window, self._values(cover, of_step[step], index, step, rows, columns, plane), where=mask)
        return wanted

    def _choose_colours(self, wanted: list[Cover], patches: list[dict[tuple[int, int], Patch]],
                        planes: tuple[Plane, ...], steps: list[tuple[int, int]]) -> None:
        """Before anything is painted, all that textures need of this frame."""
        covered: tuple[NDArray[np.bool_], ...] | None = None
        for cover in wanted:
            if cover.style in ("mosaic", "blur") and cover.key not in self._textures:
                how: Literal["cells", "soft"] = "cells" if cover.style == "mosaic" else "soft"
                key = f"{self._plan.sha256} {cover.key}"
                texture = covers.mosaic_of(self._palette, planes, cover.patch, how, key=key)
                if texture is not None:
                    self._textures[cover.key] = texture
            if cover.style == "ring":
                if covered is None:
                    covered = tuple(_map([of_step[step] for of_step in patches], plane.shape)
                                    for plane, step in zip(planes, steps))
                texture = covers.ring_of(planes, cover.patch, covered, self._textures.get(cover.key))
                if texture is not None:
                    self._textures[cover.key] = texture

    def _values(self, cover: Cover, patch: Patch, index: int, step: tuple[int, int], rows: slice, columns: slice,
                plane: Plane) -> NDArray[np.generic] | int:
        """What to put into the window `rows`, `columns` of plane `index`: one value, or one for each sample."""
        if cover.style == "picture" and self._picture is not None:
            filled = self._pasted(cover, patch, index, step)
        elif cover.style != "solid" and (texture := self._textures.get(cover.key)) is not None:
            filled = texture.fill(index, *patch.mask.shape)
        else:
            return self._solid[index]
        part = filled[rows.start - patch.top : rows.stop - patch.top,
                      columns.start - patch.left : columns.stop - patch.left]
        top = (1 << self._palette.depth) - 1
        return np.asarray(np.rint(part).clip(0, top), plane.dtype)

    def _pasted(self, cover: Cover, patch: Patch, index: int, step: tuple[int, int]) -> NDArray[np.float32]:
        """The picture, as large as fits over the head, on the solid colour."""
        assert self._picture is not None
        filled = np.full(patch.mask.shape, self._solid[index], np.float32)
        x1, y1, x2, y2 = cover.head
        height, width = self._picture.shape[:2]
        scale = min((x2 - x1) / width, (y2 - y1) / height)
        columns, rows = (max(round(side * scale / n), 1) for side, n in zip((width, height), step))
        left = round((x1 + x2 - width * scale) / 2 / step[0]) - patch.left
        top = round((y1 + y2 - height * scale) / 2 / step[1]) - patch.top
        drawn = cv2.resize(self._picture[..., index], (columns, rows), interpolation=cv2.INTER_AREA)
        there = np.s_[max(top, 0) : max(top + rows, 0), max(left, 0) : max(left + columns, 0)]
        target = filled[there]
        target[...] = drawn[max(-top, 0) :, max(-left, 0) :][: target.shape[0], : target.shape[1]]
        return filled


def _map(patches: list[Patch], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """All covered samples of one plane."""
    covered = np.zeros(shape, np.bool_)
    for patch in patches:
        where, mask = clipped(patch, shape)
        covered[where] |= mask
    return covered
