"""Results in a canonical form, and whether two of them are the same."""

import collections
import datetime
import decimal
import math

import pyarrow

from .values import micros

RELATIVE = 1e-9


def canonical(value):
    """A value without what drivers disagree about. Numbers of all types compare by value, dates are midnights."""
    if value is None or isinstance(value, (str, bytes)):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return value
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else value.normalize(decimal.Context(prec=80))
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        return 0.0 if value == 0 else value
    if isinstance(value, pyarrow.MonthDayNano):
        return ("interval", (value.months * 30 + value.days) * 86_400_000_000 + value.nanoseconds // 1000)
    if isinstance(value, datetime.timedelta):
        return ("interval", value // datetime.timedelta(microseconds=1))
    if isinstance(value, (datetime.date, datetime.datetime)):
        return ("time", micros(value))
    if isinstance(value, (list, tuple)):
        return ("list", *map(canonical, value))
    if isinstance(value, dict):
        return ("struct", *map(canonical, value.values()))
    return str(value)


def canonical_rows(rows):
    return [tuple(map(canonical, row)) for row in rows]


def canonical_arrow(data):
    columns = [canonical_column(column) for column in data.columns]
    return list(zip(*columns)) if columns else [()] * data.num_rows


def canonical_column(column):
    if pyarrow.types.is_timestamp(column.type):
        micro = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False).cast(pyarrow.int64())
        return [None if value is None else ("time", value) for value in micro.to_pylist()]
    if pyarrow.types.is_date32(column.type):
        days = column.cast(pyarrow.int32()).to_pylist()
        return [None if value is None else ("time", value * 86_400_000_000) for value in days]
    if pyarrow.types.is_duration(column.type):
        micro = column.cast(pyarrow.duration("us"), safe=False).cast(pyarrow.int64())
        return [None if value is None else ("interval", value) for value in micro.to_pylist()]
    return [canonical(value) for value in column.to_pylist()]


def is_float(value):
    return isinstance(value, float)


def same_value(left, right):
    """Exact, but for floats: within 1e-9 of their size, or to the last digit of a decimal's scale."""
    if left == right:
        return True
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(map(same_value, left, right))
    numbers = (int, float, decimal.Decimal)
    if not (isinstance(left, numbers) and isinstance(right, numbers)) or not (is_float(left) or is_float(right)):
        return False
    absolute = 1e-12
    for value in (left, right):
        if isinstance(value, decimal.Decimal):
            absolute = max(absolute, 10.0 ** value.as_tuple().exponent)
    try:
        return math.isclose(float(left), float(right), rel_tol=RELATIVE, abs_tol=absolute)
    except OverflowError:
        return False


def order_key(row):
    return [key(value) for value in row]


def key(value):
    if value is None:
        return (0, "")
    if isinstance(value, (int, float, decimal.Decimal)):
        number = float(value) if abs(value) < 1e300 else math.copysign(1e300, value)
        return (1, f"{number:+.5e}")
    return (2, str(value))


def difference(expected, found, ordered):
    """What differs between two results; None if nothing does."""
    if len(expected) != len(found):
        return f"{len(expected)} rows expected, {len(found)} found"
    if expected and len(expected[0]) != len(found[0]):
        return f"{len(expected[0])} columns expected, {len(found[0])} found"
    if ordered:
        pairs = list(zip(expected, found))
    else:
        try:
            left, right = collections.Counter(expected), collections.Counter(found)
        except TypeError as error:
            return f"cannot compare: {error}"
        rest, other = list((left - right).elements()), list((right - left).elements())
        pairs = list(zip(sorted(rest, key=order_key), sorted(other, key=order_key)))
    for left, right in pairs:
        if not all(map(same_value, left, right)):
            return f"expected {short(left)}, found {short(right)}"
    return None


def short(row):
    text = ", ".join(shown(value) for value in row)
    return f"({text[:300]})"


def shown(value):
    if isinstance(value, tuple) and value and value[0] == "time":
        try:
            return str(datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=value[1]))
        except OverflowError:
            return str(value)
    return repr(value) if not isinstance(value, decimal.Decimal) else str(value)
