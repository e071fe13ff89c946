"""Report <-> JSON, the file that stands beside every output.

The fields are those of `Report`, by name, plus `schema`; docs of the fields are in `cloak.types`. A field is
added by raising the number in `SCHEMA`, so that a reader never meets a report that it half understands.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cloak.errors import ReportUnreadable
from cloak.files import fitted_name, shown, write_new
from cloak.types import Report

SCHEMA = "facecloak-report/2"


def report_path_for(output: Path) -> Path:
    """`<output name>.json` beside the output; shortened where the output's name leaves no room."""
    return output.with_name(fitted_name(output.name, ".json", room=0))


def report_to_dict(report: Report) -> dict[str, Any]:
    """The report as JSON types only, names without folders and safe to print."""
    for name in (report.input, report.output):
        # A folder name can tell who the photographer is ("/home/anna/demo"); reports are passed on.
        if name is not None and ("/" in name or Path(name).name != name):
            raise ValueError(f"{name!r} has a folder in it; a report holds file names only")
    fields = dataclasses.asdict(report)
    fields["input"] = shown(report.input)
    fields["output"] = None if report.output is None else shown(report.output)
    return {"schema": SCHEMA, **fields}


def to_json(report: Report) -> str:
    """One JSON document with a final newline. NaN and infinity, which JSON has not, raise ValueError."""
    return json.dumps(report_to_dict(report), indent=2, allow_nan=False) + "\n"


def from_json(text: str, *, named: str = "report") -> Report:
    """The report in `text`; anything missing, added or of another type raises ReportUnreadable, naming the field."""
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise ReportUnreadable(f"{named}: not JSON ({error}). It was not used.") from error
    if not isinstance(fields, dict) or fields.get("schema") != SCHEMA:
        found = fields.get("schema") if isinstance(fields, dict) else type(fields).__name__
        raise ReportUnreadable(f"{named}: schema is {found!r}, expected {SCHEMA!r}. It was not used.")
    del fields["schema"]
    try:
        report = _read(Report, fields, "report")
    except _Mismatch as error:
        raise ReportUnreadable(f"{named}: {error}. It was not used.") from error
    assert isinstance(report, Report)
    return report


def load_report(path: Path) -> Report:
    """The report in the file at `path`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReportUnreadable(f"{path}: cannot be read ({error}). It was not used.") from error
    return from_json(text, named=str(path))


def write_report(report: Report, output: Path, *, overwrite: bool, inputs: Sequence[Path] = ()) -> Path:
    """Writes the report beside `output` and says where; refuses and cleans up as `write_new` does."""
    path = report_path_for(output)
    write_new(path, to_json(report).encode("ascii"), overwrite=overwrite, inputs=inputs)
    return path


class _Mismatch(Exception):
    """Where a value is not what the types say."""


def _read(kind: Any, value: Any, where: str) -> Any:
    """`value` as the annotated type `kind`, built from the dataclasses themselves so that the two cannot drift."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise _Mismatch(f"{where} is {type(value).__name__}, expected an object")
        hints = typing.get_type_hints(kind)
        names = {field.name for field in dataclasses.fields(kind)}
        if wrong := names.symmetric_difference(value):
            raise _Mismatch(f"{where} has missing or unknown fields: {', '.join(sorted(wrong))}")
        made = {name: _read(hints[name], value[name], f"{where}.{name}") for name in names}
        return typing.cast("type[Any]", kind)(**made)
    if origin is tuple:
        if not isinstance(value, list):
            raise _Mismatch(f"{where} is {type(value).__name__}, expected a list")
        each = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(each) != len(value):
            raise _Mismatch(f"{where} has {len(value)} values, expected {len(each)}")
        return tuple(_read(one, v, f"{where}[{i}]") for i, (one, v) in enumerate(zip(each, value)))
    if origin is dict:
        if not isinstance(value, dict):
            raise _Mismatch(f"{where} is {type(value).__name__}, expected an object")
        return {key: _read(arguments[1], v, f"{where}.{key}") for key, v in value.items()}
    if origin is typing.Literal:
        if value not in arguments:
            raise _Mismatch(f"{where} is {value!r}, expected one of {', '.join(map(repr, arguments))}")
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (kind,) = [one for one in arguments if one is not type(None)]
        return _read(kind, value, where)
    if kind is object:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise _Mismatch(f"{where} is {value!r}, expected {kind.__name__}")
    return value
