"""A protocol file is checked to the last key."""

from dataclasses import replace

import pytest

from evaluation import arms, protect, publishing
from evaluation.protocol import CONTROLS, Protocol, ProtocolInvalid, read
from tests.test_docs import ROOT

WHOLE = """
schema = "facecloak-protocol/1"
name = "mine"
arms = ["light", "naive-blur"]
publish = "jpeg90"

[data]
subjects = 4

[matchers]
required = ["edgeface_xxs"]
"""


def written(tmp_path, text=WHOLE):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_the_least_a_protocol_must_say_is_read_and_the_controls_and_placebos_are_added(tmp_path):
    protocol = read(written(tmp_path))
    assert protocol.names() == (*CONTROLS, "light", "noise as light", "naive-blur")
    assert (protocol.data.mates, protocol.data.split, protocol.groups) == (3, "judging", True)
    assert protocol.engine_options()["recognisers"] == ("dlib_resnet29",)


def test_the_standard_protocol_is_valid_and_judges_everything_it_should():
    protocol = read(ROOT / "evaluation" / "protocols" / "standard.toml")
    assert protocol.data.subjects == 150 and protocol.data.split == "judging" and protocol.publish == "jpeg90"
    assert {*protocol.presets} == {*protect.strengths()}
    assert {*protocol.arms} - {*protocol.presets} == {*arms.names()}
    assert {"clean", "balanced", "strong", "naive-blur", "redact-blur"} == {*protocol.robustness.arms}
    # The list is publishing's own, without what the headline is and two qualities between others.
    assert {*publishing.STEPS} - {*protocol.robustness.steps} == {"jpeg90", "jpeg85", "jpeg60"}


@pytest.mark.parametrize(("old", "new", "said"), [
    ("subjects = 4", "subject = 4", r"data\.subject is no key; there are data\.subjects"),
    ("subjects = 4", "", r"data\.subjects is missing"),
    ("subjects = 4", "subjects = 0", r"data\.subjects is 0"),
    ("subjects = 4", "subjects = true", r"data\.subjects is True; it must be a whole number"),
    ("subjects = 4", 'subjects = "4"', r"data\.subjects is '4'; it must be a whole number"),
    ("subjects = 4", 'subjects = 4\nsplit = "both"', r"data\.split names 'both'; there is tuning, judging"),
    ("subjects = 4", 'subjects = 4\nphotos = "../elsewhere"', r"data\.photos is '\.\./elsewhere'"),
    ('name = "mine"', 'name = "../mine"', "name is '../mine'"),
    ('name = "mine"', 'name = "mine"\ncolour = "red"', "colour is no key; there are name, data"),
    ('name = "mine"', 'name = "mine"\ndata = 4', "Cannot|data is 4|not a TOML file"),
    ('"naive-blur"', '"naive-blurr"', "arms names 'naive-blurr'; there is light, balanced"),
    ('"naive-blur"', '"light"', "arms name light twice"),
    ('"naive-blur"', "4", "arms is 4; it must be text"),
    ('arms = ["light", "naive-blur"]', 'arms = "light"', "arms is 'light'; it must be a list"),
    ('"jpeg90"', '"jpg90"', "publish: no publishing step is called 'jpg90'"),
    ('"edgeface_xxs"', '"facenet9000"', r"matchers\.required names 'facenet9000'; there is"),
    ('["edgeface_xxs"]', "[]", r"matchers\.required names none"),
    ('["edgeface_xxs"]', '["edgeface_xxs"]\noptional = ["edgeface_xxs"]', "matchers name edgeface_xxs twice"),
    ("[matchers]", '[engine]\ndetector = "eyes"\n[matchers]', "detector is 'eyes'; the engine has"),
    ("[matchers]", "[engine]\njpeg_quality = 10\n[matchers]", "jpeg_quality is 10"),
    ("[matchers]", "[engine]\nrecognisers = []\n[matchers]", "recognisers names none"),
    ("[matchers]", '[engine]\ndevice = "tpu"\n[matchers]', r"engine\.device names 'tpu'"),
    ("[matchers]", '[robustness]\narms = ["strong"]\nsteps = []\n[matchers]', r"robustness\.arms names 'strong'"),
    ("[matchers]", "[robustness]\narms = []\n[matchers]", r"robustness\.steps is missing"),
    ("[matchers]", '[robustness]\narms = []\nsteps = ["shout"]\n[matchers]', "robustness.steps: no publishing step"),
    ("[matchers]", "[gallery]\narms = []\nsizes = [1]\n[matchers]", r"gallery\.sizes is 1"),
    ("[matchers]", '[gallery]\narms = ["strong"]\nsizes = [9]\n[matchers]', r"gallery\.arms names 'strong'"),
    ("[matchers]", '[linkability]\narms = ["solid box"]\n[matchers]', r"linkability\.arms names 'solid box'"),
    ("[matchers]", '[[arm]]\nname = "light"\nfolder = "x"\n[matchers]', r"arms and \[\[arm\]\] name light twice"),
    ("[matchers]", '[[arm]]\nname = "a b"\nfolder = "x"\n[[arm]]\nname = "a-b"\nfolder = "y"\n[matchers]', "a-b twice"),
    ("facecloak-protocol/1", "facecloak-protocol/2", "schema is 'facecloak-protocol/2', this version reads"),
    ('schema = "facecloak-protocol/1"', "", "schema is None"),
    ('schema = "facecloak-protocol/1"', "schema =", "not a TOML file"),
])
def test_what_is_wrong_is_named_with_its_key(tmp_path, old, new, said):
    assert old in WHOLE
    path = written(tmp_path, WHOLE.replace(old, new, 1))
    with pytest.raises(ProtocolInvalid, match=said) as raised:
        read(path)
    assert str(raised.value).startswith(str(path)) and "Nothing was judged." in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ProtocolInvalid, match=r"absent\.toml"):
        read(tmp_path / "absent.toml")


def test_protocols_made_in_python_are_checked_alike(tmp_path):
    protocol = read(written(tmp_path))
    assert isinstance(protocol, Protocol)
    with pytest.raises(ProtocolInvalid, match="name is"):
        replace(protocol, name="")
