"""facecloak: photos in which people still know a face and face recognisers do not.

The names below are the public ones. They are imported when first used, because torch takes seconds to import and
`cloak --help` should not wait for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloak.choices import Choices, Region
    from cloak.errors import (
        ChoicesInvalid,
        ClipTooLarge,
        ClipUnreadable,
        ClipUnsupported,
        CloakError,
        NoFaceFound,
        NotEnsured,
        OutputRefused,
        PhotoTooLarge,
        PhotoUnreadable,
        PhotoUnsupported,
        PlanInvalid,
        ReferenceUnusable,
        ReportUnreadable,
        SettingsInvalid,
        WeightsCorrupt,
        WeightsMissing,
    )
    from cloak.files import output_path_for
    from cloak.io_image import read_photo
    from cloak.protect import cloak_photos, draw_faces, find_faces
    from cloak.report import load_report, report_to_dict
    from cloak.settings import PRESETS, Preset, Progress, Settings
    from cloak.types import KEEP, FaceReport, Faces, Outcome, Photo, Report, Treatment, Verdict
    from cloak.verify import verify_photo
    from cloak.video.clips import probe as probe_clip
    from cloak.video.clips import suffix_of as clip_suffix_of
    from cloak.video.clips import time_code
    from cloak.video.ffmpeg import Encoding
    from cloak.video.look import Look as ClipLook
    from cloak.video.look import parse_colour
    from cloak.video.moments import review_clip
    from cloak.video.plan import from_json as plan_from_json
    from cloak.video.plan import read_plan
    from cloak.video.plan import to_json as plan_to_json
    from cloak.video.redact import Progress as ClipProgress
    from cloak.video.redact import Region as ClipRegion
    from cloak.video.redact import VideoReport, VideoSettings, plan_video, redact_video
    from cloak.video.redact import to_dict as video_report_to_dict
    from cloak.video.types import Clip, Plan

__version__ = "0.1.0"

__all__ = [
    "KEEP",
    "PRESETS",
    "Choices",
    "ChoicesInvalid",
    "Clip",
    "ClipLook",
    "ClipProgress",
    "ClipRegion",
    "ClipTooLarge",
    "ClipUnreadable",
    "ClipUnsupported",
    "CloakError",
    "Encoding",
    "FaceReport",
    "Faces",
    "NoFaceFound",
    "NotEnsured",
    "Outcome",
    "OutputRefused",
    "Photo",
    "PhotoTooLarge",
    "PhotoUnreadable",
    "PhotoUnsupported",
    "Plan",
    "PlanInvalid",
    "Preset",
    "Progress",
    "ReferenceUnusable",
    "Region",
    "Report",
    "ReportUnreadable",
    "Settings",
    "SettingsInvalid",
    "Treatment",
    "Verdict",
    "VideoReport",
    "VideoSettings",
    "WeightsCorrupt",
    "WeightsMissing",
    "__version__",
    "clip_suffix_of",
    "cloak_photos",
    "draw_faces",
    "find_faces",
    "load_report",
    "output_path_for",
    "parse_colour",
    "plan_from_json",
    "plan_to_json",
    "plan_video",
    "probe_clip",
    "read_photo",
    "read_plan",
    "redact_video",
    "report_to_dict",
    "review_clip",
    "time_code",
    "verify_photo",
    "video_report_to_dict",
]

_MODULES = {
    "cloak.choices": ("Choices", "Region"),
    "cloak.errors": ("ChoicesInvalid", "ClipTooLarge", "ClipUnreadable", "ClipUnsupported", "CloakError", "NoFaceFound",
                     "NotEnsured", "OutputRefused", "PhotoTooLarge", "PhotoUnreadable", "PhotoUnsupported",
                     "PlanInvalid", "ReferenceUnusable", "ReportUnreadable", "SettingsInvalid", "WeightsCorrupt",
                     "WeightsMissing"),
    "cloak.protect": ("cloak_photos", "draw_faces", "find_faces"),
    "cloak.files": ("output_path_for",),
    "cloak.io_image": ("read_photo",),
    "cloak.report": ("load_report", "report_to_dict"),
    "cloak.settings": ("PRESETS", "Preset", "Progress", "Settings"),
    "cloak.types": ("KEEP", "FaceReport", "Faces", "Outcome", "Photo", "Report", "Treatment", "Verdict"),
    "cloak.verify": ("verify_photo",),
    "cloak.video.clips": ("clip_suffix_of", "probe_clip", "time_code"),
    "cloak.video.ffmpeg": ("Encoding",),
    "cloak.video.look": ("ClipLook", "parse_colour"),
    "cloak.video.moments": ("review_clip",),
    "cloak.video.plan": ("plan_from_json", "plan_to_json", "read_plan"),
    "cloak.video.redact": ("ClipProgress", "ClipRegion", "VideoReport", "VideoSettings", "plan_video", "redact_video",
                           "video_report_to_dict"),
    "cloak.video.types": ("Clip", "Plan"),
}
# Names that say less at home, where everything is about clips
_AT_HOME = {"ClipLook": "Look", "ClipProgress": "Progress", "ClipRegion": "Region", "clip_suffix_of": "suffix_of",
            "plan_from_json": "from_json", "plan_to_json": "to_json", "probe_clip": "probe",
            "video_report_to_dict": "to_dict"}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'cloak' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), _AT_HOME.get(name, name))


def __dir__() -> list[str]:
    return sorted(__all__)
