"""Amazon Rekognition as a searcher: a collection of faces, searched by photo. It gives no templates, so it is no
matcher like the others.

Photos leave this machine, so nothing here makes a client before somebody has agreed, in so many words, to how many
photos go to which region. What is sent is the pixels alone: no file name, no metadata, no name of a person.

upload = Upload(photos=450, region="eu-west-1")
service = connect(upload, agreed="450 photos to eu-west-1")
with collection(service) as people:
    people.enrol("Zico", mate)
    found = people.search(written)     # None: the service saw no face

Source of the operations and their limits: https://docs.aws.amazon.com/rekognition/latest/APIReference/ and
https://docs.aws.amazon.com/rekognition/latest/dg/limits.html.
"""

from __future__ import annotations

import hashlib
import io
import random
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluation.faces import Pixels, decode, overlaps

Box = NDArray[np.float32]  # (4,) x1 y1 x2 y2

# The service's own default, and what Amazon advises for public safety:
# https://docs.aws.amazon.com/rekognition/latest/dg/considerations-public-safety-use-cases.html
THRESHOLDS = (80, 99)

PREFIX = "facecloak-evaluation-"
NAME = re.compile(re.escape(PREFIX) + r"(\d{8}T\d{6}Z)-[0-9a-f]{8}")

# Documented as 5 MB, and in the API's own model as 5,242,880 bytes: the smaller reading is safe in both.
MAX_BYTES = 5_000_000
MIN_SIDE_PX = 80
MOST_CANDIDATES = 4096

# At most 8 tries with waits of up to 0.5, 1, 2, ... 16 s between them: half a minute, then it is said.
TRIES = 8
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 16.0
BUSY = frozenset({
    "ProvisionedThroughputExceededException", "ThrottlingException", "InternalServerError", "ServiceUnavailable",
    "RequestTimeout", "TooManyRequestsException",
})  # fmt: skip


class RekognitionFailed(RuntimeError):
    """The service refused, or cannot be asked."""


class UploadNotAgreed(RekognitionFailed):
    """Photos would leave this machine and nobody has agreed to that."""


class ServiceBusy(RekognitionFailed):
    """Still throttled or unreachable after the last try."""


class CollectionLeft(RekognitionFailed):
    """Face vectors may still lie in the account, because their collection could not be deleted."""


class _InvalidParameter(RekognitionFailed):
    """What the service says of a picture without a face, and of a wrong request."""


@dataclass(frozen=True, slots=True)
class Upload:
    """What is going to leave this machine."""

    photos: int  # different pictures; the same one sent twice counts once
    region: str

    def __post_init__(self) -> None:
        if self.photos < 0 or not re.fullmatch(r"[a-z]{2,}(-[a-z]+)+-\d", self.region):
            raise RekognitionFailed(
                f"{self.photos} photos to region {self.region!r}: name a region such as eu-west-1. Nothing was sent."
            )

    @property
    def words(self) -> str:
        """What has to be agreed to, letter by letter."""
        return f"{self.photos} photos to {self.region}"


@dataclass(frozen=True, slots=True)
class Picture:
    """What is sent of a photo: pixels, encoded anew."""

    content: bytes  # PNG or JPEG without metadata, at most MAX_BYTES
    height: int  # of the photo, before any shrinking for the service
    width: int


@dataclass(frozen=True, slots=True)
class Candidates:
    """A ranked list, most alike first; one entry per enrolled subject."""

    subjects: tuple[str, ...]
    similarities: tuple[float, ...]  # Rekognition's, 0 to 100


@dataclass(frozen=True, slots=True)
class LeftOver:
    """A collection of ours that no running context manager of this process holds."""

    name: str
    started: datetime


def upload_of(photos: int, region: str | None) -> Upload:
    """The upload to ask consent for; the region is the one named, or the one boto3 is configured for."""
    region = region or _boto3().Session().region_name
    if not region:
        raise RekognitionFailed(
            "no region: pass --region or set AWS_DEFAULT_REGION. Rekognition was not contacted, nothing was sent."
        )
    return Upload(photos, region)


def connect(upload: Upload, agreed: str | None) -> Service:
    """The service, after consent. Credentials come from boto3's own chain and from nowhere else.

    Args:
        agreed: must equal `upload.words`; a number or region that changed needs a new consent.
    Raises:
        UploadNotAgreed: before boto3 is asked for anything.
        RekognitionFailed: boto3 is not installed, or has no credentials.
    """
    if agreed != upload.words:
        raise UploadNotAgreed(
            f"this would send {upload.photos} photos of faces to Amazon Rekognition in {upload.region}. They leave "
            f"this machine, Amazon sees them, and face vectors are kept there until the run ends. Nothing was sent. "
            f'If the people in them agree, pass --send "{upload.words}"'
            + ("." if agreed is None else f"; what was passed is {agreed!r}.")
        )
    boto3 = _boto3()
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    try:
        session = boto3.Session(region_name=upload.region)
        if session.get_credentials() is None:
            raise RekognitionFailed(
                "boto3 found no credentials (environment, ~/.aws, instance role). Set AWS_PROFILE or run `aws "
                "configure`. Nothing was sent."
            )
        # Retried here, where every wait is bounded and said; and a configured endpoint could be anybody's.
        config = Config(retries={"total_max_attempts": 1}, ignore_configured_endpoint_urls=True)
        return Service(session.client("rekognition", config=config), upload)
    except BotoCoreError as error:
        raise RekognitionFailed(f"boto3 could not make a client: {error}. Nothing was sent.") from error


class Service:
    """Bounded, back-off, and never more photos than were agreed to."""

    def __init__(self, client: Any, upload: Upload, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._sleep = sleep
        self._sent: set[str] = set()
        self.upload = upload

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One operation by its boto3 name, tried again while the service is busy or out of reach."""
        from botocore import exceptions

        for attempt in range(TRIES):
            try:
                answer: dict[str, Any] = getattr(self._client, operation)(**parameters)
                return answer
            except exceptions.ClientError as error:
                code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
                if code == "InvalidParameterException":
                    raise _InvalidParameter(f"{operation}: {message}") from error
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
                if code not in BUSY and status < 500:
                    raise RekognitionFailed(f"{operation} in {self.upload.region}: {_advice(code)}{message}") from error
                reason = code or f"HTTP {status}"
            except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
                reason = str(error)
            except exceptions.BotoCoreError as error:
                raise RekognitionFailed(f"{operation} in {self.upload.region}: {error}") from error
            if attempt + 1 < TRIES:
                # Anything between half the wait and all of it: two runs must not knock in step.
                wait_s = min(FIRST_WAIT_S * 2**attempt, LONGEST_WAIT_S)
                self._sleep(random.uniform(wait_s / 2, wait_s))
        raise ServiceBusy(
            f"{operation} in {self.upload.region}: {reason} after {TRIES} tries. Try later, or ask for a higher quota."
        )

    def pages(self, operation: str, key: str, **parameters: Any) -> Iterator[Any]:
        """Every entry of a list that comes in pages."""
        token: dict[str, str] = {}
        while True:
            answer = self.call(operation, **parameters, **token)
            yield from answer.get(key, [])
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}

    def image(self, picture: Picture) -> dict[str, bytes]:
        """The picture as a parameter, counted against what was agreed."""
        digest = hashlib.sha256(picture.content).hexdigest()
        if digest not in self._sent and len(self._sent) >= self.upload.photos:
            raise UploadNotAgreed(
                f"agreed were {self.upload.words} and so many have been sent. The next one was not sent."
            )
        self._sent.add(digest)
        return {"Bytes": picture.content}

    @property
    def sent(self) -> int:
        """How many different pictures have left this machine."""
        return len(self._sent)

    def detect(self, picture: Picture) -> NDArray[np.float32]:
        """DetectFaces: boxes (N, 4) in pixels of the photo."""
        details = self.call("detect_faces", Image=self.image(picture))["FaceDetails"]
        boxes = [_box(detail["BoundingBox"], picture) for detail in details]
        return np.array(boxes, np.float32).reshape(-1, 4)

    def compare(self, source: Picture, target: Picture) -> float | None:
        """CompareFaces: similarity 0 to 100 of the largest source face with the target face most like it.

        None where either picture holds no face for the service.
        """
        images = {"SourceImage": self.image(source), "TargetImage": self.image(target)}
        try:
            answer = self.call("compare_faces", **images, SimilarityThreshold=0, QualityFilter="NONE")
        except _InvalidParameter:
            # Its message does not say whether a face is missing or the request is wrong; DetectFaces does.
            if all(len(self.detect(picture)) for picture in (source, target)):
                raise
            return None
        return max((float(match["Similarity"]) for match in answer["FaceMatches"]), default=None)


class Collection:
    """An enrolled collection. The service is told opaque numbers; which person each is stays here."""

    def __init__(self, service: Service, name: str) -> None:
        self._service = service
        self._subject_of: dict[str, str] = {}
        self.name = name

    def enrol(self, subject: str, picture: Picture, expected: Box | None = None) -> bool:
        """IndexFaces: the largest face of a photo; False where the service sees none.

        Args:
            expected: where the subject's face is, in pixels; when the service took another face, it is removed
                again and the answer is False.
        """
        opaque = secrets.token_hex(8)
        answer = self._service.call(
            "index_faces",
            CollectionId=self.name,
            Image=self._service.image(picture),
            ExternalImageId=opaque,
            MaxFaces=1,
            # The service would leave out faces it finds poor; a patient searcher would not.
            QualityFilter="NONE",
        )
        for record in answer["FaceRecords"]:
            face = record["Face"]["FaceId"]
            if expected is not None and not _is_at(expected, record["Face"]["BoundingBox"], picture):
                self._service.call("delete_faces", CollectionId=self.name, FaceIds=[face])
                continue
            self._subject_of[opaque] = subject
            return True
        return False

    def search(self, picture: Picture, expected: Box | None = None) -> Candidates | None:
        """SearchFacesByImage with the largest face; None where the service sees none, or not the expected one.

        Every candidate is asked for, whatever its similarity: a searcher without threshold reads the list as ranked.
        """
        image = self._service.image(picture)
        try:
            answer = self._service.call(
                "search_faces_by_image",
                CollectionId=self.name,
                Image=image,
                MaxFaces=MOST_CANDIDATES,
                FaceMatchThreshold=0,
                QualityFilter="NONE",
            )
        except _InvalidParameter as error:
            if "no faces" in str(error).lower() or not len(self._service.detect(picture)):
                return None
            raise
        if expected is not None and not _is_at(expected, answer["SearchedFaceBoundingBox"], picture):
            return None
        best: dict[str, float] = {}
        for match in answer["FaceMatches"]:
            subject = self._subject_of.get(match["Face"].get("ExternalImageId", ""))
            if subject is None:
                raise RekognitionFailed(f"{self.name}: the service named a face that was not enrolled. Nothing judged.")
            best[subject] = max(best.get(subject, 0.0), float(match["Similarity"]))
        ranked = sorted(best, key=lambda subject: -best[subject])
        return Candidates(tuple(ranked), tuple(best[subject] for subject in ranked))

    def check(self) -> int:
        """ListFaces: how many photos are enrolled. A photo sent twice, because an answer was lost, counts once.

        Raises:
            RekognitionFailed: the service holds other faces than were enrolled, so its rates would be of another
                gallery.
        """
        faces = self._service.pages("list_faces", "Faces", CollectionId=self.name)
        held = {face.get("ExternalImageId", "") for face in faces}
        if held != set(self._subject_of):
            raise RekognitionFailed(
                f"{self.name}: holds {len(held)} photos, {len(self._subject_of)} were enrolled. Nothing was judged."
            )
        return len(held)


@contextmanager
def collection(service: Service) -> Iterator[Collection]:
    """A new collection, deleted whatever happens; only a killed process leaves one, see `left_over`."""
    name = f"{PREFIX}{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    exists = True
    try:
        try:
            service.call("create_collection", CollectionId=name)
        except ServiceBusy:  # a lost answer may have followed a collection that was made
            raise
        except RekognitionFailed as error:
            # The name is random, so whoever made it was a first try whose answer was lost.
            if _code(error) != "ResourceAlreadyExistsException":
                exists = False
                raise
        yield Collection(service, name)
    finally:
        if exists:
            _delete_whatever_happens(service, name)


def left_over(service: Service) -> tuple[LeftOver, ...]:
    """Collections that runs of this package made and did not delete; another run may still be using one."""
    names = [NAME.fullmatch(name) for name in service.pages("list_collections", "CollectionIds")]
    return tuple(
        LeftOver(match[0], datetime.strptime(match[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc))
        for match in names
        if match
    )


def delete_left_over(service: Service, older_than: timedelta) -> tuple[str, ...]:
    """Delete the left-over collections that no run can still be using, and name them."""
    now = datetime.now(timezone.utc)
    old = [one.name for one in left_over(service) if now - one.started > older_than]
    for name in old:
        _delete(service, name)
    return tuple(old)


def prepare(path: Path) -> Picture:
    """What would be sent of a photo: its upright pixels without loss where they fit, else the least loss that fits.

    Raises:
        RekognitionFailed: smaller than the service takes. As a face "not found" it would look protected.
    """
    pixels = decode(path)
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE_PX:
        raise RekognitionFailed(
            f"{path}: {width} x {height} px, and the service takes no side under {MIN_SIDE_PX}. It was not sent."
        )
    return Picture(next(one for one in _encodings(pixels) if len(one) <= MAX_BYTES), height, width)


def _encodings(pixels: Pixels) -> Iterator[bytes]:
    """Ever smaller files of the same picture; made from bare pixels, so without metadata."""
    image = Image.fromarray(pixels)
    # A lossless file over 5 MB is certain from here on, and would take seconds to find out.
    if pixels.size < 100_000_000:
        yield _encoded(image, "PNG")
    while True:
        for quality in (97, 92, 85):
            yield _encoded(image, "JPEG", quality=quality, subsampling="4:4:4")
        image = image.resize((image.width * 3 // 4, image.height * 3 // 4), Image.Resampling.LANCZOS)


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _box(ratios: dict[str, float], picture: Picture) -> Box:
    """(4,) in pixels from Rekognition's shares of width and height."""
    left, top = ratios["Left"] * picture.width, ratios["Top"] * picture.height
    right, bottom = left + ratios["Width"] * picture.width, top + ratios["Height"] * picture.height
    return np.array([left, top, right, bottom], np.float32)


def _is_at(expected: Box, ratios: dict[str, float], picture: Picture) -> bool:
    """Whether the service's face is the one meant; the bar is that of `faces.face_at`."""
    return bool(overlaps(_box(ratios, picture)[None], expected)[0] > 0.3)


def _delete_whatever_happens(service: Service, name: str) -> None:
    """Once more after an impatient second Ctrl-C, and never silently."""
    try:
        _delete(service, name)
    except (Exception, KeyboardInterrupt):
        try:
            _delete(service, name)
        except (Exception, KeyboardInterrupt) as error:
            raise CollectionLeft(
                f"collection {name} in {service.upload.region} could not be deleted ({error}): face vectors may still "
                f"lie there. Delete it: aws rekognition delete-collection --region {service.upload.region} "
                f"--collection-id {name}"
            ) from error


def _delete(service: Service, name: str) -> None:
    try:
        service.call("delete_collection", CollectionId=name)
    except RekognitionFailed as error:
        if _code(error) != "ResourceNotFoundException":
            raise


def _code(error: RekognitionFailed) -> str:
    """The service's own name for what went wrong, empty where it did not answer."""
    return str(getattr(error.__cause__, "response", {}).get("Error", {}).get("Code", ""))


def _advice(code: str) -> str:
    if code in ("AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "AccessDenied"):
        return f"{code}; the credentials are refused or lack this permission. "
    if code in ("ExpiredTokenException", "ExpiredToken"):
        return f"{code}; the credentials have expired, log in again. "
    return f"{code}; "


def _boto3() -> Any:
    try:
        import boto3
    except ImportError as error:
        raise RekognitionFailed(
            "boto3 is not installed: pip install 'facecloak[rekognition]'. Rekognition was not contacted."
        ) from error
    return boto3
