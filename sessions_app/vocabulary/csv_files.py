"""Write and read corrections and target lists as CSV, as spreadsheets do.

Files are written with commas, a header and a byte order mark; without the mark Excel would read another
encoding. Files are read with commas, semicolons or tabs, with or without a header and a byte order mark.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from django.core.files.uploadedfile import UploadedFile

from jobs_app.models.vocabulary import Correction, TargetList
from sessions_app.vocabulary.lists import (
    MAX_CORRECTIONS,
    MAX_TARGET_LISTS,
    MAX_TARGET_WORDS,
    Refused,
    save_corrections,
    save_target_lists,
)
from sessions_app.vocabulary.serializers import CorrectionSerializer, TargetListSerializer
from speech.text.phrases import compared_form

if TYPE_CHECKING:
    from people_app.models import User

CORRECTION_COLUMNS = ("from", "to", "whole_word", "match_case")
TARGET_COLUMNS = ("list", "word")

MAX_BYTES = 1024 * 1024
# More errors than these would hide the first one.
ERRORS_SHOWN = 10

_DELIMITERS = ",;\t"
# This first line tells Excel which delimiter the file has. Excel shows no row for it.
_NAMED_DELIMITER = re.compile(rf'"?sep=([{_DELIMITERS}])"?[{_DELIMITERS}]*(?:\r\n|\n|\r|$)', re.IGNORECASE)
_YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
# A spreadsheet takes such a text for a formula and runs it. One more quote before it keeps it a text.
_FORMULA = re.compile(r"'*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_GUARDED_FORMULA = re.compile(r"'+[=+\-@\uff1d\uff0b\uff0d\uff20]")


def corrections_csv(corrections: Iterable[Correction]) -> str:
    return _written(
        CORRECTION_COLUMNS,
        (
            (c.from_text, c.to_text, "yes" if c.whole_word else "no", "yes" if c.match_case else "no")
            for c in corrections
        ),
    )


def target_lists_csv(lists: Iterable[TargetList]) -> str:
    """Return the lists as CSV, with a row for each word. An empty list has one row without a word."""
    return _written(TARGET_COLUMNS, ((each.name, word) for each in lists for word in each.words or [""]))


class Import(Protocol):
    """A function that stores the rows of a CSV file and returns how many; if it raises Refused, none."""

    def __call__(self, owner: User, file: UploadedFile[bytes], *, replace: bool) -> int: ...


def import_corrections(owner: User, file: UploadedFile[bytes], *, replace: bool) -> int:
    """Store the corrections of a CSV file, and return how many.

    Raises:
        Refused: a row is wrong or there are too many rows; nothing was stored.
    """
    corrections: list[Correction] = []
    errors: list[str] = []
    rows_of: dict[tuple[bool, str], int] = {}
    for number, row in _rows(file, CORRECTION_COLUMNS, at_most=MAX_CORRECTIONS):
        choices: dict[str, bool] = {}
        for name, otherwise in (("whole_word", True), ("match_case", False)):
            value = _YES_NO.get(row[name].casefold()) if row[name] else otherwise
            if value is None:
                errors.append(f"Row {number}: {name} is “{row[name][:40]}”. Write yes or no.")
            else:
                choices[name] = value
        if len(choices) < 2:
            continue
        correction = CorrectionSerializer(data={"from_text": row["from"], "to_text": row["to"], **choices})
        if not correction.is_valid():
            errors += _in_row(number, correction.errors)
            continue
        corrections.append(Correction(**correction.validated_data))
        key = choices["match_case"], compared_form(row["from"], match_case=choices["match_case"])
        if rows_of.setdefault(key, number) != number:
            errors.append(f"Row {number} replaces the same text as row {rows_of[key]}. Keep one of them.")
    _refuse(errors)
    save_corrections(owner, corrections, replace=replace)
    return len(corrections)


def import_target_lists(owner: User, file: UploadedFile[bytes], *, replace: bool) -> int:
    """Store the target lists of a CSV file, and return how many rows it had.

    Raises:
        Refused: a row is wrong or there are too many rows; nothing was stored.
    """
    words_of: dict[str, list[str]] = {}
    errors: list[str] = []
    n = 0
    for number, row in _rows(file, TARGET_COLUMNS, at_most=MAX_TARGET_WORDS + MAX_TARGET_LISTS):
        target_list = TargetListSerializer(data={"name": row["list"], "words": [row["word"]]})
        if not target_list.is_valid():
            errors += _in_row(number, target_list.errors)
            continue
        words_of.setdefault(target_list.validated_data["name"], []).extend(
            target_list.validated_data["words"]
        )
        n += 1
    _refuse(errors)
    save_target_lists(owner, words_of, replace=replace)
    return n


# --- Writing -------------------------------------------------------------------------------------


def _written(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    file = io.StringIO()
    file.write("\ufeff")
    writer = csv.writer(file)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([f"'{cell}" if _FORMULA.match(cell) else cell for cell in row])
    return file.getvalue()


# --- Reading -------------------------------------------------------------------------------------


def _refuse(errors: Sequence[str]) -> None:
    if errors:
        more = len(errors) - ERRORS_SHOWN
        raise Refused("file", *errors[:ERRORS_SHOWN], *([f"And {more} more."] if more > 0 else []))


def _in_row(number: int, errors: Any) -> list[str]:
    """Return the sentences in the errors of a serializer, each with the number of the row."""
    if isinstance(errors, dict):
        return [sentence for each in errors.values() for sentence in _in_row(number, each)]
    return [f"Row {number}: {sentence}" for sentence in errors]


def _rows(
    file: UploadedFile[bytes], columns: Sequence[str], *, at_most: int
) -> list[tuple[int, dict[str, str]]]:
    """Return the rows that are not empty, each with its number and its cells by the names of the columns.

    Rows are numbered from 1, as in a spreadsheet.
    """
    rows = [(number, row) for number, row in enumerate(_table(_text(file)), start=1) if any(row)]
    header = [cell.casefold() for cell in rows[0][1]] if rows else []
    if set(columns[:2]) <= set(header):
        rows = rows[1:]
        if unknown := [name for name in header if name and name not in columns]:
            raise Refused("file", f"There is a column “{unknown[0][:40]}”. Use only: {', '.join(columns)}.")
        if twice := next((name for name in columns if header.count(name) > 1), ""):
            raise Refused("file", f"The column “{twice}” is there twice. Keep one of them.")
    else:
        header = list(columns)
    if not rows:
        raise Refused("file", "There is nothing in this file. Write one row for each of them.")
    if len(rows) > at_most:
        raise Refused("file", f"This file has {len(rows)} rows. At most {at_most} can be imported.")
    named = []
    for number, row in rows:
        if len(row) < 2 or any(row[len(header) :]):
            columns_there = "1 column" if len(row) == 1 else f"{len(row)} columns"
            raise Refused(
                "file",
                f"Row {number} has {columns_there}. Write these, with a comma, semicolon or tab between "
                f"them: {', '.join(columns)}. Put what contains one of those in double quotes.",
            )
        cells = [cell[1:] if _GUARDED_FORMULA.match(cell) else cell for cell in row]
        named.append((number, dict.fromkeys(columns, "") | dict(zip(header, cells, strict=False))))
    return named


def _text(file: UploadedFile[bytes]) -> str:
    if refused := getattr(file, "refused", None):
        raise Refused("file", str(refused))
    if (file.size or 0) > MAX_BYTES:
        raise Refused("file", "This file is larger than 1 MB. Is it the right one? Split it if it is.")
    try:
        text: str = file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("file", "This file is not in UTF-8. Save it as “CSV UTF-8” and import that.") from error
    if "\x00" in text:
        raise Refused("file", "This is not a CSV file. In your spreadsheet, save the list as “CSV UTF-8”.")
    return text


def _table(text: str) -> list[list[str]]:
    """Return the cells of each row, without white space around them.

    If the file does not name its delimiter, it is the one with which most rows have more than one cell.
    """
    tables: list[list[list[str]]] = []
    problem = None
    named = _NAMED_DELIMITER.match(text)
    if named:
        text = text[named.end() :]
    for delimiter in named[1] if named else _DELIMITERS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            tables.append([[cell.strip() for cell in row] for row in reader])
        except csv.Error as error:
            problem = Refused(
                "file",
                f"Line {reader.line_num + bool(named)} cannot be read ({error}). Check its double quotes.",
            )
    table = max(tables, key=lambda rows: sum(len(row) > 1 for row in rows), default=[])
    if problem and all(len(row) < 2 for row in table):
        raise problem
    return table
