"""What a check says to a person, and what it does not say."""

from __future__ import annotations

from evaluation.check import FMR, ONE_IN, Answer, Check, FaceCheck, Search

_RELATIONS = {
    "one file": "Both names are one file: nothing is protected.",
    "identical files": "The two files are identical: nothing is protected.",
    "same pixels": "The two files show the same picture, pixel for pixel: nothing is protected.",
    "another view": "The protected file was cropped, turned or changed so much that places in it mean nothing: each "
                    "face was compared with all faces in it.",
}
# The network that the engine takes unless told otherwise; the file does not say what it was made against.
_ENGINES_OWN = "dlib_cpp"


def words(check: Check) -> str:
    """The whole answer, for a terminal."""
    lines = [f"{check.protected}, made of {check.original}"]
    if check.relation in _RELATIONS:
        lines.append(_RELATIONS[check.relation])
    for face in check.faces:
        lines += _face(face, check)
    lines += [f"gallery: {note}" for note in check.notes]
    lines += ["", verdict(check), "", "Not asked:", *(f"  - {one}" for one in not_asked(check))]
    return "\n".join(lines)


def verdict(check: Check) -> str:
    """One or two sentences; never that somebody is safe."""
    count = len(check.faces)
    if not check.matchers:
        return "NOT JUDGED: no recogniser could be asked."
    if not count:
        return (f"NOT JUDGED: {_and(check.detectors)} found no face in the original. That does not prove that there is "
                "none.")
    hit = [face for face in check.faces if face.status == "matched"]
    parts = []
    if hit:
        by_itself = [one.matcher for face in hit for one in face.answers if one.is_matched]
        names = dict.fromkeys([*by_itself, *(one.matcher for face in hit for one in face.searches if one.is_matched)])
        parts.append(f"STILL MATCHED: {len(hit)} of {count} {_faces(count)}, by {_and(tuple(names))}")
        if doubtful := sum(_is_doubtful(face, check) for face in hit):
            parts.append(f"{doubtful} of these, found by one detector alone, may be no {_faces(doubtful)}: look")
    for status, says in (
        ("lost", "not found in their place any more and not matched there; unless you see a cover on them, others may "
                 "find them"),
        ("too small", "too small to judge"),
        ("unclear", "not judged: fewer faces are found in the protected file, and which are missing cannot be said"),
    ):
        if there := sum(face.status == status for face in check.faces):
            parts.append(f"{there} of {count} {_faces(count)} {says}")
    if parts:
        return ". ".join(part[0].upper() + part[1:] for part in parts) + "."
    answer = (f"Nothing matched: {count} {_faces(count)}, asked {_and(check.matchers)}, at 1 false match in "
              f"{ONE_IN[check.fmr]}. That is no promise.")
    if first := [(one, face) for face in check.faces for one in face.searches if one.rank is not None]:
        search, face = min(first, key=lambda one: one[0].rank or 0)
        answer += (f" But a search that lists the nearest has a photo of face {face.number} "
                   f"{_ordinal(search.rank or 1)} of {search.photos}, by {search.matcher}.")
    if check.uncalibrated:
        answer = (f"NOT JUDGED by {_and(check.uncalibrated)}, here but without thresholds, so this is no clean answer. "
                  f"By the others: {answer[0].lower()}{answer[1:]}")
    if check.matchers == (_ENGINES_OWN,):
        answer += (" CAUTION: it is the very network that facecloak cloaks against unless told otherwise, and no other "
                   "was asked. Of such a cloak this says next to nothing; name a folder of others with --weights.")
    return answer


def not_asked(check: Check) -> list[str]:
    """What the answer leaves open."""
    found = [f"{name}: {why}" for name, why in check.not_asked.items()]
    found.append("every recogniser that is not here, among them all that are sold, and those of tomorrow")
    if check.gallery is None:
        found.append("other photos of these people, and searches that list the nearest however little alike: --gallery")
    else:
        found.append("larger galleries: who is not first among a few may still be on a list that somebody reads")
    found += [
        "what platforms do to the file after this, and searchers who know the tool and treat their photos alike",
        "people who look: a face, body, clothes, company and place",
    ]
    if _ENGINES_OWN in check.matchers and len(check.matchers) > 1:
        found.append(f"whether the file was made against one of these; facecloak takes {_ENGINES_OWN}'s network unless "
                     "told otherwise, and its answer is then the easy one")
    found.append("whether the thresholds fit your photos: they come from press photos of public figures, and strangers "
                 "can be more alike in other pictures and groups of people")
    return found


def _face(face: FaceCheck, check: Check) -> list[str]:
    x1, y1, x2, y2 = face.box
    again = f"found again by {_and(face.found_again_by)}" if face.found_again_by else "not found again in its place"
    if check.relation == "another view":
        again = f"faces in the protected file: {check.faces_in_protected}"
    alone = " alone, so it may be none" if _is_doubtful(face, check) else ""
    lines = [f"face {face.number} at {x1},{y1} to {x2},{y2}: found by {_and(face.found_by)}{alone}; {again}"]
    width = max((len(one.matcher) for one in face.answers), default=0)
    lines += [f"  {one.matcher:{width}}  {_answer(one)}" for one in face.answers]
    lines += [f"  {one.matcher:{width}}  {_search(one)}" for one in face.searches]
    return lines


def _is_doubtful(face: FaceCheck, check: Check) -> bool:
    return len(face.found_by) == 1 < len(check.detectors)


def _answer(one: Answer) -> str:
    numbers = f"similarity {one.similarity:.2f}, threshold {one.threshold:.2f}"
    if one.is_matched:
        return f"{numbers}: STILL MATCHED, even by who accepts only 1 stranger in {ONE_IN[one.strictest or FMR]}"
    if one.strictest is not None:
        return f"{numbers}: not matched, but barely: who accepts 1 stranger in {ONE_IN[one.strictest]} still matches it"
    return f"{numbers}: not matched"


def _search(one: Search) -> str:
    hit = "STILL MATCHED" if one.is_matched else "below the threshold"
    nearest = f"gallery: nearest is {one.nearest} ({one.similarity:.2f}, {hit})"
    if one.mate is None:
        return f"{nearest}; it knows the person in none of the {one.photos} photos, from the original either"
    return f"{nearest}; best photo of the person, {one.mate}, comes {_ordinal(one.rank or 1)} of {one.photos}"


def _ordinal(rank: int) -> str:
    ending = "th" if 10 < rank % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{ending}"


def _and(names: tuple[str, ...]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "nobody"


def _faces(count: int) -> str:
    return "face" if count == 1 else "faces"
