"""What the studio says of a report, against what stands in it: never more."""

from __future__ import annotations

import pytest

from web.studio import verdict


def one(recogniser="a", *, is_matched=False, is_surrogate=True):
    return {"recogniser": recogniser, "is_surrogate": is_surrogate, "similarity_before": 0.99, "similarity_after": 0.4,
            "fmr_before": 1e-4, "fmr_after": 0.3, "is_matched": is_matched, "threshold": 0.8, "threshold_fmr": 1e-3}


def face(status, *verdicts, number=1, score=0.9):
    return {"number": number, "box": (0, 0, 9, 9), "detector_score": score, "treatment": "", "status": status,
            "verdicts": list(verdicts), "words": "the engine's own words"}


def report(*faces):
    return {"faces": list(faces), "words": "the engine's summary", "notes": ["<b>a note</b>"]}


JUDGED = (one("a"), one("b"), one("c", is_surrogate=False))


@pytest.mark.parametrize("faces, is_protected, kind, words", [
    ((face("protected", *JUDGED),), True, "good", "Others were not asked"),
    ((face("protected", one()),), True, "look", "None of those here is independent"),
    ((face("redacted"),), True, "good", "Every treated face is covered"),
    ((face("redacted"), face("kept", number=2)), True, "look", "as you chose: one"),
    ((face("kept"),), True, "look", "Whoever searches for them finds them"),
    ((face("protected", *JUDGED), face("matched", one(is_matched=True))), False, "wrong", "Do not publish this yet"),
    ((face("lost", *JUDGED),), False, "look", "nothing can be promised"),
    ((face("too_small", *JUDGED),), False, "look", "nothing can be promised"),
    ((face("unjudged"),), False, "look", "without the original nothing can be said"),
    ((), False, "look", "does not prove that there is none"),
])
def test_the_first_sentence_is_never_better_than_the_worst_face(faces, is_protected, kind, words):
    found, sentence = verdict.headline(report(*faces), is_protected=is_protected)
    assert found == kind and words in sentence


def test_each_face_has_words_with_how_many_were_asked():
    assert verdict.on_face(face("protected", *JUDGED)) == "Three of three recognisers no longer match it."
    mixed = face("matched", one("a", is_matched=True), one("b"), one("c"))
    assert verdict.on_face(mixed) == "Still matched by one of three recognisers."
    assert verdict.on_face(face("protected", one())) == "The one recogniser here no longer matches it."
    assert "no protection" in verdict.on_face(face("lost", *JUDGED))


def test_numbers_stand_below_the_words_and_nothing_in_a_report_is_taken_for_html():
    html = verdict.as_html(report(face("protected", one("<i>x</i>"))), is_protected=True, downloads="<a>here</a>")
    assert "<i>" not in html and "<b>" not in html
    order = [html.index(part) for part in ("Others were not asked", "no longer matches it", "<a>here</a>", "<table>")]
    assert order == sorted(order)
    for number in ("0.99", "0.40", "0.80", "0.3"):
        assert f"<td>{number}</td>" in html
