"""Amazon Rekognition behind stand-ins: consent, what is sent, back-off, and that nothing is left there."""

import io
import json
import sys
from datetime import timedelta

import boto3
import numpy as np
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, ReadTimeoutError
from botocore.stub import ANY, Stubber
from moto import mock_aws
from PIL import Image
from PIL.ExifTags import GPS, IFD

from evaluation import rekognition, rekognition_arms
from evaluation.__main__ import main
from evaluation.faces import decode
from evaluation.rekognition import (
    PREFIX,
    CollectionLeft,
    RekognitionFailed,
    Service,
    ServiceBusy,
    Upload,
    UploadNotAgreed,
    collection,
    connect,
    prepare,
    upload_of,
)
from evaluation.samples import Sample, SamplesUnusable
from tests.evaluation.rekognition_stand_in import StandIn, refusal

UPLOAD = Upload(100, "eu-west-1")
GREY = (128, 128, 128)


@pytest.fixture
def no_waiting():
    return [].append


@pytest.fixture
def real_client():
    return boto3.client("rekognition", region_name="eu-west-1", aws_access_key_id="none", aws_secret_access_key="none")


@pytest.fixture
def bare_environment(monkeypatch, tmp_path):
    """No credentials and no region anywhere, and no instance that could have a role."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


def plain(path, colour, size=(100, 100)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def service_of(stand_in, upload=UPLOAD):
    return Service(stand_in.client, upload, sleep=[].append)


# Consent.


@pytest.mark.parametrize("agreed", [None, "", "yes", "100 photos", "99 photos to eu-west-1", "100 photos to us-east-1"])
def test_without_the_very_words_no_client_is_made(agreed, monkeypatch):
    monkeypatch.setattr(rekognition, "_boto3", lambda: pytest.fail("boto3 was asked"))
    with pytest.raises(UploadNotAgreed, match=r"100 photos.*eu-west-1.*leave this\s+machine.*Nothing was sent"):
        connect(UPLOAD, agreed)


def test_the_agreed_number_is_never_passed(tmp_path):
    stand_in = StandIn()
    service = service_of(stand_in, Upload(2, "eu-west-1"))
    pictures = [prepare(plain(tmp_path / f"{red}.png", (red, 0, 0))) for red in (100, 150, 200)]
    for picture in (*pictures[:2], pictures[0]):  # the same picture again is no new one
        service.detect(picture)
    with pytest.raises(UploadNotAgreed, match="next one was not sent"):
        service.detect(pictures[2])
    assert service.sent == 2 and len(stand_in.images) == 3


def test_no_credentials_is_said_before_anything_is_sent(bare_environment):
    with pytest.raises(RekognitionFailed, match="no credentials.*Nothing was sent"):
        connect(UPLOAD, UPLOAD.words)


def test_credentials_that_vanish_are_an_error_and_not_tried_again():
    def vanish(operation, body):
        raise NoCredentialsError

    service = Service(StandIn(before=vanish).client, UPLOAD, sleep=lambda s: pytest.fail("waited"))
    with pytest.raises(RekognitionFailed, match="credentials"):
        service.call("list_collections")


def test_a_region_comes_from_the_caller_or_from_boto3_or_is_missed(bare_environment, monkeypatch):
    with pytest.raises(RekognitionFailed, match="no region.*nothing was sent"):
        upload_of(3, None)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert upload_of(3, None).words == "3 photos to eu-central-1"
    assert upload_of(3, "eu-west-2").words == "3 photos to eu-west-2"
    with pytest.raises(RekognitionFailed, match="name a region"):
        upload_of(3, "https://example.org")


def test_a_configured_endpoint_does_not_divert_the_photos(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    service = connect(UPLOAD, UPLOAD.words)
    assert service._client.meta.endpoint_url == "https://rekognition.eu-west-1.amazonaws.com"


def test_without_boto3_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(RekognitionFailed, match=r"facecloak\[rekognition\]"):
        connect(UPLOAD, UPLOAD.words)


# What is sent.


def test_a_picture_is_sent_without_metadata_and_without_loss(tmp_path, astronaut):
    exif = Image.Exif()
    exif[0x010F] = "CANARY maker"
    exif.get_ifd(IFD.GPSInfo)[GPS.GPSLatitude] = (48.0, 51.0, 0.0)
    source = tmp_path / "CANARY name.jpg"
    Image.fromarray(astronaut).save(source, exif=exif, comment=b"CANARY comment", quality=90)
    picture = prepare(source)
    assert b"CANARY" in source.read_bytes() and b"CANARY" not in picture.content
    with Image.open(io.BytesIO(picture.content)) as sent:
        assert not sent.getexif() and not sent.info
        assert np.array_equal(np.asarray(sent), decode(source))


def test_planted_metadata_is_not_sent(shared_data):
    content = prepare(shared_data / "photos" / "canaries.jpg").content
    assert b"CANARY" in (shared_data / "photos" / "canaries.jpg").read_bytes() and b"CANARY" not in content


def test_a_picture_too_large_for_the_service_loses_as_little_as_fits(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1600, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png", compress_level=1)
    picture = prepare(tmp_path / "noise.png")
    assert 1_000_000 < len(picture.content) <= rekognition.MAX_BYTES
    assert (picture.height, picture.width) == (1500, 1600)
    with Image.open(io.BytesIO(picture.content)) as sent:
        assert sent.format == "JPEG" and sent.size == (1600, 1500) and not sent.getexif()


def test_a_picture_too_small_is_an_error_and_not_a_face_that_was_not_found(tmp_path):
    with pytest.raises(RekognitionFailed, match=r"79 x 200 px.*not sent"):
        prepare(plain(tmp_path / "small.png", (200, 0, 0), (79, 200)))


def test_the_service_is_told_no_names(tmp_path):
    stand_in = StandIn()
    with collection(service_of(stand_in)) as people:
        people.enrol("Zico", prepare(plain(tmp_path / "Zico_0001.png", (200, 0, 0))))
        people.search(prepare(plain(tmp_path / "Zico_0002.png", (190, 0, 0))))
    told = json.dumps([{k: v for k, v in body.items() if k != "Image"} for _, body in stand_in.calls])
    assert "zico" not in told.lower() and str(tmp_path) not in told
    assert not any(b"Zico" in image for image in stand_in.images)


# Requests and answers, checked against Amazon's own description of them.


def test_search_asks_for_every_candidate_and_ranks_subjects_by_their_best_photo(real_client, tmp_path):
    picture = prepare(plain(tmp_path / "a.png", (200, 0, 0)))
    service = Service(real_client, UPLOAD)
    ids = []
    with Stubber(real_client) as stub:
        stub.add_response("create_collection", {}, {"CollectionId": ANY})
        for _ in range(3):
            stub.add_response(
                "index_faces",
                {"FaceRecords": [{"Face": {"FaceId": f"{len(ids):08d}-0000-0000-0000-000000000000",
                                           "BoundingBox": {"Left": 0, "Top": 0, "Width": 1, "Height": 1}}}]},
                {"CollectionId": ANY, "Image": {"Bytes": picture.content}, "ExternalImageId": ANY, "MaxFaces": 1,
                 "QualityFilter": "NONE"},
            )
            ids.append(None)
        with collection(service) as people:
            for subject in ("Ana", "Ben", "Ben"):
                assert people.enrol(subject, picture)
            opaque = list(people._subject_of)
            stub.add_response(
                "search_faces_by_image",
                {"SearchedFaceBoundingBox": {"Left": 0, "Top": 0, "Width": 1, "Height": 1},
                 "FaceMatches": [{"Similarity": s, "Face": {"ExternalImageId": opaque[i]}}
                                 for i, s in ((1, 99.2), (0, 98.0), (2, 40.0))]},
                {"CollectionId": people.name, "Image": {"Bytes": picture.content}, "MaxFaces": 4096,
                 "FaceMatchThreshold": 0, "QualityFilter": "NONE"},
            )
            found = people.search(picture)
            stub.add_response("delete_collection", {"StatusCode": 200}, {"CollectionId": people.name})
        stub.assert_no_pending_responses()
    assert found.subjects == ("Ben", "Ana")
    assert found.similarities == pytest.approx((99.2, 98.0))


def test_faces_and_collections_are_read_page_by_page(tmp_path):
    stand_in = StandIn()
    with collection(service_of(stand_in)) as people:
        for red in range(100, 150, 10):
            people.enrol(str(red), prepare(plain(tmp_path / f"{red}.png", (red, 0, 0))))
        assert people.check() == 5
        assert [operation for operation, _ in stand_in.calls].count("ListFaces") == 3


def test_a_gallery_that_is_not_the_one_enrolled_is_not_judged(tmp_path):
    stand_in = StandIn()
    with pytest.raises(RekognitionFailed, match="holds 0 photos, 1 were enrolled"):
        with collection(service_of(stand_in)) as people:
            people.enrol("Ana", prepare(plain(tmp_path / "a.png", (200, 0, 0))))
            stand_in.collections[people.name].clear()
            people.check()


def test_no_face_is_a_failure_to_enrol_and_to_search(tmp_path):
    grey = prepare(plain(tmp_path / "grey.png", GREY))
    with collection(service_of(StandIn())) as people:
        assert people.enrol("Ana", grey) is False
        assert people.search(grey) is None
        assert people.check() == 0


def test_another_face_does_not_stand_in_for_the_one_meant(tmp_path):
    picture = prepare(plain(tmp_path / "a.png", (200, 0, 0)))
    corner = np.array([0, 0, 20, 20], np.float32)
    with collection(service_of(StandIn())) as people:
        assert people.enrol("Ana", picture, expected=corner) is False
        assert people.check() == 0
        assert people.search(picture, expected=corner) is None
        assert people.search(picture, expected=np.array([0, 0, 90, 90], np.float32)) is not None


def test_an_invalid_parameter_with_a_face_in_the_picture_is_our_mistake_and_said(tmp_path):
    def wrong(operation, body):
        wanted = operation in ("SearchFacesByImage", "CompareFaces")
        return refusal("InvalidParameterException", "Request has invalid parameters") if wanted else None

    service = service_of(StandIn(before=wrong))
    picture = prepare(plain(tmp_path / "a.png", (200, 0, 0)))
    with collection(service) as people, pytest.raises(RekognitionFailed, match="invalid parameters"):
        people.search(picture)
    with pytest.raises(RekognitionFailed, match="invalid parameters"):
        service.compare(picture, picture)


def test_compare_gives_the_similarity_or_none_without_a_face(tmp_path):
    service = service_of(StandIn())
    red, dark, grey = (prepare(plain(tmp_path / f"{c[0]}{c[1]}.png", c)) for c in ((200, 0, 0), (190, 0, 0), GREY))
    assert service.compare(red, dark) == pytest.approx(90)
    assert service.compare(red, grey) is service.compare(grey, red) is None


@mock_aws
def test_somebody_elses_stand_in_understands_the_comparison(tmp_path, monkeypatch):
    """moto knows CompareFaces alone of what is used here, with one fixed answer; the request goes through HTTP."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    picture = prepare(plain(tmp_path / "a.png", (200, 0, 0)))
    assert connect(UPLOAD, UPLOAD.words).compare(picture, picture) == 100.0


# Throttling and errors.


@pytest.mark.parametrize("code", ["ThrottlingException", "ProvisionedThroughputExceededException"])
def test_a_busy_service_is_asked_again_with_growing_waits(real_client, tmp_path, code):
    waits = []
    service = Service(real_client, UPLOAD, sleep=waits.append)
    with Stubber(real_client) as stub:
        for _ in range(5):
            stub.add_client_error("detect_faces", code, http_status_code=400)
        stub.add_response("detect_faces", {"FaceDetails": []})
        assert len(service.detect(prepare(plain(tmp_path / "a.png", (200, 0, 0))))) == 0
    assert len(waits) == 5
    assert all(0.25 * 2**i <= wait <= 0.5 * 2**i for i, wait in enumerate(waits))


def test_the_waits_have_an_end(real_client):
    waits = []
    service = Service(real_client, UPLOAD, sleep=waits.append)
    with Stubber(real_client) as stub:
        for _ in range(rekognition.TRIES):
            stub.add_client_error("list_collections", "ThrottlingException")
        with pytest.raises(ServiceBusy, match="ThrottlingException after 8 tries"):
            list(service.pages("list_collections", "CollectionIds"))
        stub.assert_no_pending_responses()
    assert len(waits) == 7 and sum(waits) < 60


def test_no_way_to_the_service_is_tried_again_and_then_said():
    def unreachable(operation, body):
        raise EndpointConnectionError(endpoint_url="https://rekognition.eu-west-1.amazonaws.com")

    with pytest.raises(ServiceBusy, match="Could not connect"):
        service_of(StandIn(before=unreachable)).call("list_collections")


@pytest.mark.parametrize("operation", ["CreateCollection", "IndexFaces"])
def test_an_answer_that_was_lost_makes_nothing_twice(tmp_path, operation):
    lost = iter([True])

    def lose_the_first_answer(asked, body):
        if asked == operation and next(lost, False):
            getattr(stand_in, asked)(body)
            raise ReadTimeoutError(endpoint_url="https://rekognition.eu-west-1.amazonaws.com")
        if asked == "CreateCollection" and body["CollectionId"] in stand_in.collections:
            return refusal("ResourceAlreadyExistsException")

    stand_in = StandIn(before=lose_the_first_answer)
    picture = prepare(plain(tmp_path / "a.png", (200, 0, 0)))
    with collection(service_of(stand_in)) as people:
        people.enrol("Ana", picture)
        assert people.check() == 1
        assert people.search(picture).subjects == ("Ana",)
    assert not stand_in.collections


def test_refused_access_is_said_at_once(real_client):
    service = Service(real_client, UPLOAD, sleep=lambda s: pytest.fail("waited"))
    with Stubber(real_client) as stub:
        stub.add_client_error("create_collection", "AccessDeniedException", "not authorised to CreateCollection", 400)
        with pytest.raises(RekognitionFailed, match="lack this permission.*CreateCollection"):
            with collection(service):
                pytest.fail("entered a collection that does not exist")
        stub.assert_no_pending_responses()  # and nothing that never was is deleted


# Nothing is left there.


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_the_collection_is_deleted_whatever_happens(interruption):
    stand_in = StandIn()
    with pytest.raises(interruption):
        with collection(service_of(stand_in)) as people:
            assert people.name in stand_in.collections
            raise interruption
    assert not stand_in.collections


def test_an_interruption_while_it_is_made_deletes_it_too():
    def interrupt(operation, body):
        if operation == "CreateCollection":
            stand_in.CreateCollection(body)
            raise KeyboardInterrupt

    stand_in = StandIn(before=interrupt)
    with pytest.raises(KeyboardInterrupt):
        with collection(service_of(stand_in)):
            pass
    assert not stand_in.collections


def test_a_second_interruption_does_not_stop_the_deletion():
    impatient = iter([KeyboardInterrupt])

    def interrupt(operation, body):
        if operation == "DeleteCollection":
            for one in impatient:
                raise one

    stand_in = StandIn(before=interrupt)
    with pytest.raises(KeyboardInterrupt):
        with collection(service_of(stand_in)):
            raise KeyboardInterrupt
    assert not stand_in.collections


def test_a_collection_that_cannot_be_deleted_is_named_with_the_command_that_does_it():
    def refuse(operation, body):
        return refusal("AccessDeniedException") if operation == "DeleteCollection" else None

    stand_in = StandIn(before=refuse)
    with pytest.raises(CollectionLeft, match="delete-collection --region eu-west-1") as raised:
        with collection(service_of(stand_in)):
            raise ValueError("what went wrong first")
    assert next(iter(stand_in.collections)) in str(raised.value)
    chain, seen = raised.value, []
    while chain is not None:
        seen.append(type(chain))
        chain = chain.__cause__ or chain.__context__
    assert ValueError in seen


def test_what_a_killed_run_left_is_found_by_its_name_and_only_the_old_is_deleted():
    stand_in = StandIn()
    old, young = f"{PREFIX}20200101T000000Z-01234567", f"{PREFIX}29990101T000000Z-01234567"
    for name in ("somebody-elses", f"{PREFIX}by-hand", old, young):
        stand_in.collections[name] = []
    service = service_of(stand_in)
    assert [one.name for one in rekognition.left_over(service)] == [old, young]
    assert rekognition.delete_left_over(service, timedelta(hours=24)) == (old,)
    assert set(stand_in.collections) == {"somebody-elses", f"{PREFIX}by-hand", young}


# The measurement.


@pytest.fixture
def people(tmp_path):
    """Three probes whose mates have nearly their colour, and strangers of other colours."""
    probes, boxes = [], {}
    for number, red in enumerate((60, 140, 220)):
        folder = tmp_path / f"P{number}"
        mates = tuple(plain(folder / f"{i}.png", (red + i, 10, 10)) for i in (1, 2, 3))
        probes.append(Sample(f"P{number}", plain(folder / "0.png", (red, 10, 10)), mates))
        boxes[probes[-1]] = np.array([0, 0, 100, 100], np.float32)
    strangers = {f"S{i}": plain(tmp_path / f"S{i}.png", (10, 10, 60 + 40 * i)) for i in range(4)}
    return probes, boxes, strangers | {"P0": plain(tmp_path / "own.png", (60, 10, 10))}


def test_clean_is_found_a_cloak_is_not_and_a_box_is_no_face(people, tmp_path):
    probes, boxes, distractors = people
    arms = {
        "clean": {sample: sample.probe for sample in probes},
        "cloaked": {one: plain(tmp_path / "cloaked" / f"{i}.png", (10, 10, 200 + i)) for i, one in enumerate(probes)},
        "boxed": {one: plain(tmp_path / "boxed" / f"{i}.png", (i, i, i)) for i, one in enumerate(probes)},
    }
    stand_in = StandIn()
    photos = rekognition_arms.photos_to_send(arms, probes, distractors)
    service = service_of(stand_in, Upload(photos, "eu-west-1"))
    measured = rekognition_arms.measure(arms, probes, distractors, boxes, service)
    clean, cloaked, boxed = measured["arms"].values()
    assert photos == service.sent == 9 + 9 + 4  # three arms, three mates each, the strangers without P0's own photo
    assert measured["gallery_faces"] == 13 and not stand_in.collections
    assert clean["candidate"]["99"]["value"] == clean["rank_1"]["value"] == 1 and clean["not_found"] == 0
    assert cloaked["candidate"]["80"]["value"] == cloaked["rank_1"]["value"] == 0 and cloaked["not_found"] == 0
    assert cloaked["strangers_per_search"]["80"] > 0
    assert boxed["not_found"] == 3 and boxed["rank_50"]["value"] == 0
    json.dumps(measured, allow_nan=False)


def test_an_empty_arm_or_a_small_photo_stops_it_before_anything_is_sent(people, tmp_path):
    probes, boxes, distractors = people
    stand_in = StandIn()
    with pytest.raises(SamplesUnusable, match="Nothing was sent"):
        rekognition_arms.measure({"clean": {}}, probes, distractors, boxes, service_of(stand_in))
    small = {"clean": {sample: plain(tmp_path / "s.png", (9, 0, 0), (10, 10)) for sample in probes}}
    with pytest.raises(RekognitionFailed, match="10 x 10"):
        rekognition_arms.measure(small, probes, distractors, boxes, service_of(stand_in))
    assert not stand_in.calls


def test_the_verb_says_what_it_would_send_and_stops(shared_data, tmp_path, bare_environment, capsys):
    """Real photos, no consent: the number is right and nothing was made."""
    words = ["rekognition", "--data", str(shared_data), "--subjects", "2", "--strangers", "5", "--region", "eu-west-1"]
    assert main([*words, "--out", str(tmp_path / "run.json")]) == 2
    assert '--send "13 photos to eu-west-1"' in capsys.readouterr().err
    assert not (tmp_path / "run.json").exists()


def test_with_consent_the_verb_measures_the_files_of_another_tool_too(shared_data, tmp_path, monkeypatch):
    from evaluation import arms
    from evaluation.samples import read_samples

    stand_in = StandIn()
    monkeypatch.setattr(rekognition, "connect", lambda upload, agreed: service_of(stand_in, upload))
    for sample in read_samples(shared_data / "lfw-dev", "judging", 2).probes:
        arms.no_op(sample.probe, tmp_path / "theirs" / sample.subject)
    words = ["rekognition", "--data", str(shared_data), "--subjects", "2", "--strangers", "5", "--region", "eu-west-1"]
    words += ["--publish", "none", "--arm", f"theirs={tmp_path / 'theirs'}", "--cache", str(tmp_path / "cache")]
    assert main([*words, "--out", str(tmp_path / "run.json")]) == 0
    result = json.loads((tmp_path / "run.json").read_text())
    assert result["kind"] == "rekognition" and result["arms"]["theirs"] == result["arms"]["clean"]
    assert result["service"] == {"name": "Amazon Rekognition", "region": "eu-west-1", "photos_sent": 13}
    assert not stand_in.collections
