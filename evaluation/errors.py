"""What can go wrong while judging, as one tree. Messages name the thing, what was found and what was not done."""

from __future__ import annotations


class EvaluationFailed(ValueError):
    """Base of everything the harness raises on purpose; the command turns it into one line and exit code 2."""


class ChoiceUnknown(EvaluationFailed):
    """Something was asked for by a name or a number that there is none of."""
