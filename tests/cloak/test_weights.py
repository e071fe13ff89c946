"""Which bytes are accepted under which name, in a package or in the store."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re

import pytest

from cloak import store, weights
from cloak.errors import SettingsInvalid, WeightsCorrupt, WeightsMissing
from cloak.store import Model

ENTRIES = list(weights.registry().values())
each = pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])


@each
def test_an_entry_says_where_it_is_from_and_what_may_be_done_with_it(entry):
    store.check_name(entry.name)
    assert entry.role in ("surrogate", "detector", "matcher")
    assert entry.licence and entry.source and entry.training_data
    assert re.fullmatch(r"[0-9a-f]{64}|", entry.sha256) and entry.largest > 0
    assert (entry.size is None) != (entry.limit is None)
    if entry.is_bundled:
        assert entry.sha256 and entry.size and not entry.address
    if entry.address:
        assert entry.address.startswith("https://") and entry.file_name
    assert entry.sha256 or entry.address  # what can be neither identified nor fetched is of no use


def test_no_two_files_of_a_mirror_have_one_name_and_no_two_entries_the_same_bytes():
    fetchable = [entry.file_name for entry in ENTRIES if entry.address]
    hashes = [entry.sha256 for entry in ENTRIES if entry.sha256]
    assert len(set(fetchable)) == len(fetchable) and len(set(hashes)) == len(hashes)


def test_recommended_is_what_anybody_may_use_and_cloak_can_load():
    assert weights.recommended() == ("mobilefacenet",)
    for name in weights.recommended():
        entry = weights.registry()[name]
        assert entry.sha256 and entry.loads_as and not entry.non_commercial and "NC" not in entry.licence


def test_only_the_file_without_a_published_hash_lacks_one():
    assert [entry.name for entry in ENTRIES if not entry.sha256] == ["inception_resnet_v1"]


def test_the_entries_agree_with_the_test_data_pack(shared_data):
    """Hash, size, source, and the preprocessing: theirs on x / 255, ours on x."""
    for about in json.loads((shared_data / "weights" / "weights.json").read_text())["weights"]:
        entry = weights.known(about["sha256"])
        assert entry is not None and entry.size == about["bytes"], about["file"]
        upstream = about["source"]
        assert upstream["sha256"] in {one.sha256 for one in ENTRIES
                                      if (one.commit, one.path) == (upstream["commit"], upstream["path"])}
        if "mean" in about["input"]:
            assert entry.recipe is not None and entry.recipe.channels == about["input"]["colour"].lower()
            for x in (0.0, 100.0, 255.0):
                ours = [(x - m) / s for m, s in zip(entry.recipe.mean, entry.recipe.scale)]
                theirs = [(x / 255 - m) / s for m, s in zip(about["input"]["mean"], about["input"]["std"])]
                assert ours == pytest.approx(theirs, abs=1e-9)


# --- locate ------------------------------------------------------------------------------------------------------


def install(tmp_path, name: str, data: bytes = b"weights", **fields) -> Model:
    file = tmp_path / "source.bin"
    file.write_bytes(data)
    about = Model(name=name, role="surrogate", loads_as="onnx", path=file, size=len(data),
                  sha256=hashlib.sha256(data).hexdigest(), licence="MIT", source="a test", origin="added")
    return store.add(dataclasses.replace(about, **fields))


def test_an_installed_model_is_located_by_its_name(models, tmp_path):
    with pytest.raises(SettingsInvalid, match="no weights are called 'mine'"):
        weights.locate("mine")
    model = install(tmp_path, "mine")
    assert weights.locate("mine") == model.path == models / "mine" / "mine.bin"
    assert weights.sha256_of("mine") == model.sha256


def test_a_changed_byte_in_the_store_is_refused(models, tmp_path):
    model = install(tmp_path, "mine")
    for data, found in ((b"Weights", WeightsCorrupt), (b"weight", WeightsCorrupt), (b"", WeightsCorrupt)):
        model.path.write_bytes(data)
        with pytest.raises(found, match="not loaded") as error:
            weights.locate("mine")
        assert hashlib.sha256(data).hexdigest() in str(error.value) and str(model.path) in str(error.value)
    model.path.unlink()
    with pytest.raises(WeightsMissing, match="nothing was loaded"):
        weights.locate("mine")


def test_what_facecloak_brings_is_never_taken_from_the_store(models, tmp_path):
    install(tmp_path, "dlib_resnet29")
    assert models not in weights.locate("dlib_resnet29").parents
    assert weights.sha256_of("dlib_resnet29") == weights.registry()["dlib_resnet29"].sha256


def test_a_fetched_model_is_held_to_the_registry_and_not_to_its_own_folder(models, tmp_path):
    """Whoever can write into the store could otherwise exchange file and description together."""
    install(tmp_path, "mobilefacenet", origin="fetched")
    with pytest.raises(WeightsCorrupt, match="but the registry knows 90a00ba1"):
        weights.locate("mobilefacenet")
    install(tmp_path, "unheard_of", origin="fetched")
    with pytest.raises(WeightsCorrupt, match="the registry knows nothing by that name"):
        weights.locate("unheard_of")


def test_what_can_be_fetched_and_is_not_there_says_so(models):
    with pytest.raises(WeightsMissing, match="cloak models fetch mobilefacenet"):
        weights.locate("mobilefacenet")
    with pytest.raises(WeightsMissing, match="cloak models add"):
        weights.locate("mobilefacenet_onnx")
