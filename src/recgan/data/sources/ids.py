"""Ids as their shop knows them: what an export surely did to them is undone, what it destroyed is refused.

One id is often written in several ways: padded, as a number with a fraction, in another Unicode form. Each
way would be a shopper or a product of its own.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import TypeVar
from unicodedata import normalize

import pyarrow as pa
import pyarrow.compute as pc

from recgan.core.errors import RecganError
from recgan.core.redact import shown
from recgan.data.sources.ids_seen import EXACT, IdsSeen, NumbersSeen

logger = logging.getLogger(__name__)

_Texts = TypeVar("_Texts", pa.Array, pa.ChunkedArray)

# Unicode's white space, and what has no width: zero-width space to joiner, word joiner, BOM; NUL pads too.
AROUND = (
    " \t\n\r\v\f\x00\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008"
    "\u2009\u200a\u2028\u2029\u202f\u205f\u3000\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
)
_FRACTION = r"^-?\d+\.\d+$"
_WHOLE_FRACTION = r"^-?(0|[1-9]\d*)\.0+$"
_ZEROS = r"\.0+$"
_LEADING_ZERO = r"^-?0\d+$"
_EXPONENT = r"^-?\d(\.\d+)?[eE]\+\d+$"


def without_null_words(column: pa.ChunkedArray, words: Sequence[str], where: str) -> pa.ChunkedArray:
    """Turn blank text and words that stand for a missing value into nulls, and say how many of each.

    Args:
        column: text.
        words: compared without blanks around and without regard to case.
        where: the file and column, for the log.
    """
    present, counts = missing_words(column, words)
    tell_missing(counts, where)
    return present


def missing_words(column: pa.ChunkedArray, words: Sequence[str]) -> tuple[pa.ChunkedArray, dict[str, int]]:
    """Turn blank text and words that stand for a missing value into nulls, and count each as written."""
    bare = pc.utf8_lower(pc.utf8_trim(column, AROUND))
    missing = pc.is_in(bare, value_set=pa.array(["", *(word.lower() for word in words)], pa.string()))
    written = pc.value_counts(column.filter(pc.fill_null(missing, False)))
    if not len(written):
        return column, {}
    counts = {count["values"]: count["counts"] for count in written.to_pylist()}
    return pc.if_else(missing, None, column), counts


def tell_missing(counts: Mapping[str, int], where: str) -> None:
    """Say in the log what was read as missing."""
    if counts:
        most = sorted(counts.items(), key=lambda count: (-count[1], count[0]))[:20]
        said = ", ".join(f"{count:,} {word!r}" for word, count in most)
        logger.info("%s: read as missing: %s", where, said)


def ids_as_text(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Write numbers as text: 17850, although pandas keeps whole numbers with gaps as 17850.0.

    Raises:
        RecganError: a floating number is too large to be exact, or the type is none that ids have.
    """
    text, seen = text_of(column, where, NumbersSeen())
    seen.check(column.type, where)
    return text


def text_of(column: pa.ChunkedArray, where: str, before: NumbersSeen) -> tuple[pa.ChunkedArray, NumbersSeen]:
    """Write a log's next part of a column of ids as text, and return what it says of the numbers in it.

    Raises:
        RecganError: the type is none that ids have.
    """
    seen = NumbersSeen()
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
        seen.largest = float(pc.max(pc.abs(column)).as_py() or 0)
        seen.whole = pc.all(pc.equal(column, pc.round(column))).as_py() is not False
        if before.whole and seen.whole and max(before.largest, seen.largest) < EXACT[column.type]:
            column = column.cast(pa.int64())
    elif pa.types.is_decimal(column.type):
        text = column.cast(pa.string())
        whole = pc.replace_substring_regex(text, r"\.0*$", "")
        seen.whole = pc.any(pc.match_substring(whole, ".")).as_py() is not True
        column = whole if before.whole and seen.whole else text
    kind = column.type
    others = (pa.types.is_binary, pa.types.is_nested, pa.types.is_temporal, pa.types.is_boolean)
    if any(is_other(kind) for is_other in others):
        raise RecganError(f"{where} is of type {kind}, not text or whole numbers; convert it")
    return column.cast(pa.string()), seen


def clean_ids(columns: Mapping[str, pa.ChunkedArray], cased: bool = True) -> list[pa.ChunkedArray]:
    """Clean the columns that hold one kind of id, all by the same decisions, so that they still join.

    Blanks and invisible characters around an id go, and text takes Unicode's form NFC. `17850.0` becomes
    17850 where that is certain. Then all ids with a fraction in all the columns end in the same row of zeros,
    as `.0` or `.00` (so not where there is `1.10`). And no id begins with a zero that a number would have
    lost. How many rows changed is logged. Ids that differ only by case, width, leading zeros or separators
    are left, with a warning.

    Args:
        columns: file and column, for messages → text.
        cased: False where such ids need no warning.

    Returns:
        The columns in their order.

    Raises:
        RecganError: digits are lost: `1.23457E+11`, or a fraction on a number that doubles do not hold.
    """
    stripped = {where: stripped_ids(column) for where, column in columns.items()}
    _, drop = decide_ids({where: (seen, ids) for where, (_, seen, ids) in stripped.items()}, cased)
    return [without_fraction(column) if drop else column for column, _, _ in stripped.values()]


def stripped_ids(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, IdsSeen, pa.Array]:
    """Clean ids as far as each alone decides, and return what they say, and each once as they come."""
    written = pc.drop_null(pc.unique(column))
    stripped = pc.utf8_trim(written, AROUND)
    composed = _composed(stripped)
    seen = IdsSeen(
        rows=len(column),
        stripped=_changed(column, written, stripped, written),
        composed=_changed(column, stripped, composed, written),
    )
    if not composed.equals(written):
        column = _replaced(column, written, composed)
    distinct = pc.unique(composed)
    fractions = _matching(distinct, _FRACTION)
    if len(fractions):
        whole = _matching(fractions, _WHOLE_FRACTION)
        seen.whole = pc.sum(pc.is_in(column, value_set=whole)).as_py()
        seen.broken = len(whole) < len(fractions)
        seen.zeros = tuple(sorted(pc.unique(_decimals(fractions)).to_pylist()))
    return column, seen, distinct


def _changed(
    column: pa.ChunkedArray, before: pa.Array, after: pa.Array, written: pa.Array
) -> tuple[int, str] | None:
    changed = written.filter(pc.not_equal(before, after))
    if not len(changed):
        return None
    return pc.sum(pc.is_in(column, value_set=changed)).as_py(), changed[0].as_py()


def _decimals(fractions: pa.Array) -> pa.Array:
    return pc.utf8_length(pc.replace_substring_regex(fractions, r"^.*\.", ""))


def without_fraction(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write whole numbers with a fraction without it."""
    whole = _matching(pc.unique(column), _WHOLE_FRACTION)
    return _replaced(column, whole, pc.replace_substring_regex(whole, _ZEROS, "")) if len(whole) else column


def decide_ids(columns: Mapping[str, tuple[IdsSeen, pa.Array]], cased: bool) -> tuple[pa.Array, bool]:
    """Say what was done to the ids of one kind, and decide of all of them whether they lose their fractions.

    Args:
        columns: file and column → what it says, and each of its ids once.
        cased: False where ids that may be one need no warning.

    Returns:
        All ids once, without a fraction where they lose it, and whether they do.

    Raises:
        RecganError: digits are lost.
    """
    total = IdsSeen()
    for where, (seen, _) in columns.items():
        total = total.followed_by(seen)
        for changed, what in (
            (seen.stripped, "without the blanks or invisible characters around them"),
            (seen.composed, "in Unicode's form NFC"),
        ):
            if changed is not None:
                logger.warning(
                    "%s: %s of %s ids were read %s, such as '%s'",
                    where, f"{changed[0]:,}", f"{seen.rows:,}", what, shown(changed[1]),
                )  # fmt: skip
    distinct = pc.unique(pa.chunked_array([ids for _, ids in columns.values()], pa.string()))
    names = " and ".join(columns)

    lost = _matching(distinct, _EXPONENT)
    if len(lost):
        raise RecganError(
            f"{names}: {len(lost):,} id(s) such as {shown(lost[0])} have lost their digits, as long "
            "numbers do in a spreadsheet; export the column as text"
        )
    drop = total.without_fraction
    if drop:
        whole = _matching(distinct, _WHOLE_FRACTION)
        for where, (seen, _) in columns.items():
            _tell_fractions(where, seen, distinct, whole)
        distinct = pc.unique(_replaced(distinct, whole, pc.replace_substring_regex(whole, _ZEROS, "")))
    elif total.whole:
        fractions = _matching(distinct, _FRACTION)
        whole, zeros = _matching(fractions, _WHOLE_FRACTION), _decimals(fractions)
        alike = pc.and_(pc.is_in(fractions, value_set=whole), pc.equal(zeros, zeros[0]))
        other = fractions.filter(pc.invert(alike))[0]
        logger.info(
            "%s: %s ids such as %s end in zeros and are left so, as there is also %s",
            names, f"{len(whole):,}", shown(whole[0]), shown(other),
        )  # fmt: skip
    if cased:
        _warn_of_twins(names, distinct)
    return distinct, drop


def _composed(texts: pa.Array) -> pa.Array:
    # pc.utf8_normalize(form="NFC") of Arrow 25 decomposes.
    foreign = texts.filter(pc.invert(pc.string_is_ascii(texts)))
    composed = pa.array([normalize("NFC", text) for text in foreign.to_pylist()], pa.string())
    return pc.coalesce(pc.take(composed, pc.index_in(texts, value_set=foreign)), texts)


def _tell_fractions(where: str, seen: IdsSeen, distinct: pa.Array, whole: pa.Array) -> None:
    lost = pc.filter(whole, pc.greater_equal(pc.abs(whole.cast(pa.float64())), float(2**53)))
    zeros = _matching(distinct, _LEADING_ZERO)
    if len(lost):
        raise RecganError(
            f"{where}: {lost[0]} was a floating number, and those from {2**53} on have lost their last "
            "digits; export the ids as text or whole numbers"
        )
    if len(zeros):
        raise RecganError(
            f"{where}: ids such as {whole[0]} were numbers, which cannot begin with zeros as {zeros[0]} "
            "does; export the ids as text"
        )
    if seen.whole:
        logger.warning(
            "%s: %s of %s ids were whole numbers with a fraction, such as %s, and are read without it",
            where, f"{seen.whole:,}", f"{seen.rows:,}", shown(whole[0]),
        )  # fmt: skip


def _warn_of_twins(names: str, distinct: pa.Array) -> None:
    """Warn of ids that may be one id in two ways of writing; neither is surely wrong, so both stay."""
    foreign = distinct.filter(pc.invert(pc.string_is_ascii(distinct)))
    narrow = pa.array([normalize("NFKC", text) for text in foreign.to_pylist()], pa.string())
    bare = pc.coalesce(pc.take(narrow, pc.index_in(distinct, value_set=foreign)), distinct)
    bare = pc.replace_substring_regex(pc.utf8_lower(bare), r"^['+]", "")
    number = pc.match_substring_regex(bare, r"^\d{1,3}([,.' ]\d{3})+$|^\d+[.,]0+$")
    bare = pc.if_else(number, pc.replace_substring_regex(bare, r"[.,]0{1,2}$|[,.' ]", ""), bare)
    bare = pc.replace_substring_regex(bare, r"^0+(\d)", r"\1")
    counts = pc.value_counts(bare)
    alike = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    if len(alike):
        pair = distinct.filter(pc.equal(bare, alike[0]))
        logger.warning(
            "%s: %s ids differ from another only by case, width, leading zeros or separators, such as %s and "
            "%s: they stay; if they are the same, export the column in one way",
            names, f"{len(distinct) - len(counts):,}", shown(pair[0]), shown(pair[1]),
        )  # fmt: skip


def _matching(texts: pa.Array, pattern: str) -> pa.Array:
    return texts.filter(pc.match_substring_regex(texts, pattern))


def _replaced(column: _Texts, before: pa.Array, after: pa.Array) -> _Texts:
    return pc.coalesce(pc.take(after, pc.index_in(column, value_set=before)), column)
