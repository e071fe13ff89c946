"""What can go wrong, as one tree.

Every message names the file, says what was found, what to do, and what did not happen. Only `cli` and `web`
catch these; anything that is not a `CloakError` is a defect of ours and is left to surface.
"""


class CloakError(Exception):
    """Base of everything facecloak raises on purpose."""


class PhotoUnreadable(CloakError):
    """The input is not a whole photo that we can decode."""


class PhotoUnsupported(CloakError):
    """The input is a photo, of a kind that cannot be handled without losing something silently."""


class PhotoTooLarge(CloakError):
    """The header promises more pixels than allowed; nothing was decoded."""


class ClipUnreadable(CloakError):
    """The input is not a whole video that we can decode."""


class ClipUnsupported(CloakError):
    """The input is a video, of a kind that cannot be handled without losing something silently."""


class ClipTooLarge(ClipUnsupported):
    """The header promises larger pictures than allowed; nothing was decoded."""


class EncodingFailed(CloakError):
    """ffmpeg is missing, cannot do what is asked, or ended before its time. What it wrote is not whole."""


class OutputRefused(CloakError):
    """The output would overwrite a file, is the input itself, or cannot be written."""


class NoFaceFound(CloakError):
    """No detector saw a face, so there is nothing to protect and nothing was written."""


class SettingsInvalid(CloakError, ValueError):
    """A setting is out of range, not finite, or names a thing that does not exist."""


class ChoicesInvalid(CloakError, ValueError):
    """What a person chose cannot be read, or speaks of a face or region that the photo does not have."""


class PlanInvalid(CloakError, ValueError):
    """A plan for a clip cannot be read, contradicts itself, or was made for another clip."""


class NotEnsured(CloakError):
    """A face is still matched after everything was done that `ensure` can do."""


class ReferenceUnusable(CloakError):
    """A reference photo does not show exactly one face, or shows somebody else than the others."""


class WeightsMissing(CloakError):
    """A weight file is not on this machine."""


class WeightsCorrupt(CloakError):
    """A weight file is not the file that was vouched for. It was not loaded."""


class ModelRefused(CloakError):
    """A model cannot be installed or removed as asked. The installed models are as they were."""


class FetchFailed(CloakError):
    """A weight file did not arrive, or more or less than it did. Nothing was installed."""


class ReportUnreadable(CloakError):
    """A report is missing, is not JSON, or does not follow the schema it names."""


class ClusterUnusable(CloakError):
    """There is no cluster at the address, or a machine of it would not make the same files. What was not done stays
    to be done."""
