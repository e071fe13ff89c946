"""A Rekognition in memory, behind a real client: botocore checks every request and none leaves the process.

A "face" is a plain colour: two pictures are alike by the distance of their mean colours, and grey is no face.
"""

from __future__ import annotations

import base64
import io
import json
from types import SimpleNamespace

import boto3
import numpy as np
from PIL import Image

PAGE = 2


class StandIn:
    """State of the service and a log of what it was told."""

    def __init__(self, before=None):
        self.collections = {}
        self.calls = []
        self.images = []
        self.before = before or (lambda operation, body: None)
        self.client = boto3.client(
            "rekognition", region_name="eu-west-1", aws_access_key_id="none", aws_secret_access_key="none"
        )
        self.client.meta.events.register("before-call.rekognition", self._answer)

    def _answer(self, model, params, **_):
        body = json.loads(params["body"])
        self.calls.append((model.name, body))
        answer = self.before(model.name, body) or getattr(self, model.name)(body)
        status = 400 if "Error" in answer else 200
        answer.setdefault("ResponseMetadata", {})["HTTPStatusCode"] = status
        return SimpleNamespace(status_code=status), answer

    def CreateCollection(self, body):
        self.collections[body["CollectionId"]] = []
        return {}

    def DeleteCollection(self, body):
        if self.collections.pop(body["CollectionId"], None) is None:
            return refusal("ResourceNotFoundException")
        return {}

    def ListCollections(self, body):
        return paged("CollectionIds", list(self.collections), body)

    def ListFaces(self, body):
        return paged("Faces", self.collections[body["CollectionId"]], body)

    def DeleteFaces(self, body):
        held = self.collections[body["CollectionId"]]
        held[:] = [face for face in held if face["FaceId"] not in body["FaceIds"]]
        return {"DeletedFaces": body["FaceIds"]}

    def IndexFaces(self, body):
        colour = self._colour(body["Image"])
        if colour is None:
            return {"FaceRecords": []}
        faces = self.collections[body["CollectionId"]]
        face = {"FaceId": f"{len(self.calls):08d}-0000-0000-0000-000000000000",
                "ExternalImageId": body["ExternalImageId"], "colour": colour, "BoundingBox": WHOLE}
        faces.append(face)
        return {"FaceRecords": [{"Face": face}]}

    def SearchFacesByImage(self, body):
        colour = self._colour(body["Image"])
        if colour is None:
            return refusal("InvalidParameterException", "There are no faces in the image. Should be at least 1.")
        matches = [{"Face": face, "Similarity": 100 - float(np.abs(face["colour"] - colour).max())}
                   for face in self.collections[body["CollectionId"]]]
        matches = [match for match in matches if match["Similarity"] >= body["FaceMatchThreshold"]]
        matches.sort(key=lambda match: -match["Similarity"])
        return {"SearchedFaceBoundingBox": WHOLE, "FaceMatches": matches[: body["MaxFaces"]]}

    def DetectFaces(self, body):
        return {"FaceDetails": [] if self._colour(body["Image"]) is None else [{"BoundingBox": WHOLE}]}

    def CompareFaces(self, body):
        source, target = self._colour(body["SourceImage"]), self._colour(body["TargetImage"])
        if source is None or target is None:
            return refusal("InvalidParameterException", "Request has invalid parameters")
        return {"FaceMatches": [{"Similarity": 100 - float(np.abs(source - target).max())}], "UnmatchedFaces": []}

    def _colour(self, image):
        content = base64.b64decode(image["Bytes"])
        self.images.append(content)
        with Image.open(io.BytesIO(content)) as picture:
            colour = np.asarray(picture.convert("RGB"), np.float64).mean((0, 1))
        return None if np.ptp(colour) < 1 else colour


WHOLE = {"Left": 0.0, "Top": 0.0, "Width": 1.0, "Height": 1.0}


def refusal(code, message=""):
    return {"Error": {"Code": code, "Message": message}}


def paged(key, entries, body):
    start = int(body.get("NextToken", 0))
    page = {key: entries[start : start + PAGE]}
    return page | ({"NextToken": str(start + PAGE)} if start + PAGE < len(entries) else {})
