"""Many spots are what they were, in little memory."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloak.video.spots import Spots
from cloak.video.types import Spot

numbers = st.floats(-1e6, 1e6)
points = st.tuples(*[st.tuples(numbers, numbers)] * 5)
spots = st.builds(Spot, st.integers(0, 2**31 - 1), st.tuples(*[numbers] * 4), st.floats(0, 1),
                  st.sampled_from(["seen", "followed", "filled", "extended"]), st.none() | points)


@given(st.lists(spots, max_size=8))
def test_they_are_a_tuple_of_the_same_spots(ones):
    packed, plain = Spots(ones), tuple(ones)
    assert packed == plain and plain == packed and packed == Spots(plain) and hash(packed) == hash(plain)
    assert len(packed) == len(plain) and list(packed) == list(plain)
    assert packed[1:-1] == plain[1:-1] and packed[::-2] == plain[::-2]
    for index in range(-len(plain), len(plain)):
        assert packed[index] == plain[index]
    with pytest.raises(IndexError):
        packed[len(plain)]
    assert packed != (*plain, Spot(0, (0.0, 0.0, 1.0, 1.0), 0.5, "seen"))


def test_an_hour_of_a_crowd_fits():
    """Thirty faces in 25 frames a second for an hour are 2.7 million spots, every other one seen with landmarks."""
    marks = tuple((float(n), n + 0.5) for n in range(5))
    tracemalloc.start()
    packed = Spots(Spot(n, (n + 0.1, n + 0.2, n + 0.3, n + 0.4), 0.0, "seen", marks if n % 2 else None)
                   for n in range(10_000))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert packed[9_999].landmarks == marks
    assert taken / len(packed) * 2.7e6 < 400e6
