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
    from cloak.video.redact import VideoReport, VideoSettings, plan_video, redact_video

__version__ = "0.1.0"

__all__ = [
    "KEEP",
    "PRESETS",
    "Choices",
    "ChoicesInvalid",
    "ClipUnreadable",
    "ClipUnsupported",
    "CloakError",
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
    "cloak_photos",
    "draw_faces",
    "find_faces",
    "load_report",
    "output_path_for",
    "plan_video",
    "read_photo",
    "redact_video",
    "report_to_dict",
    "verify_photo",
]

_MODULES = {
    "cloak.choices": ("Choices", "Region"),
    "cloak.errors": ("ChoicesInvalid", "ClipUnreadable", "ClipUnsupported", "CloakError", "NoFaceFound", "NotEnsured",
                     "OutputRefused", "PhotoTooLarge", "PhotoUnreadable", "PhotoUnsupported", "PlanInvalid",
                     "ReferenceUnusable", "ReportUnreadable", "SettingsInvalid", "WeightsCorrupt", "WeightsMissing"),
    "cloak.protect": ("cloak_photos", "draw_faces", "find_faces"),
    "cloak.files": ("output_path_for",),
    "cloak.io_image": ("read_photo",),
    "cloak.report": ("load_report", "report_to_dict"),
    "cloak.settings": ("PRESETS", "Preset", "Progress", "Settings"),
    "cloak.types": ("KEEP", "FaceReport", "Faces", "Outcome", "Photo", "Report", "Treatment", "Verdict"),
    "cloak.verify": ("verify_photo",),
    "cloak.video.redact": ("VideoReport", "VideoSettings", "plan_video", "redact_video"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'cloak' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
