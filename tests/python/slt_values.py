"""Values as DataFusion's sqllogictest files write them, and comparison of rows by value."""

import datetime
import hashlib
import math
import re

import numpy
import pyarrow as pa

NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?!\w)")
ZONED = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(\.\d+)?(Z|[+-]\d{2}:\d{2})")
# A timestamp counts microseconds, and one at midnight may be a date.
FINER = re.compile(r"(\d{2}:\d{2}:\d{2}\.\d{6})\d+")
MIDNIGHT = re.compile(r"(\d{4}-\d{2}-\d{2})T00:00:00(?!\.)")
IGNORE = "<slt:ignore>"


def table_rows(table):
    """Rows of an Arrow table, a text per value."""
    columns = [
        [text(value, column.type) for chunk in column.chunks for value in chunk] for column in table.columns
    ]
    return [list(row) for row in zip(*columns)]


def text(value, kind, nested=False):
    """A value as Arrow for Rust displays it."""
    if isinstance(value, pa.ExtensionScalar):
        value = value.value
        kind = value.type if value is not None else pa.null()
    if value is None or not value.is_valid:
        return "NULL"
    if pa.types.is_dictionary(kind):
        return text(value.value, kind.value_type, nested)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return "[" + ", ".join(text(item, kind.value_type, True) for item in value.values) + "]"
    if pa.types.is_map(kind):
        entries = zip(value.values.field(0), value.values.field(1))
        entries = [f"{text(key, kind.key_type, True)}: {text(item, kind.item_type, True)}" for key, item in entries]
        return "{" + ", ".join(entries) + "}"
    if pa.types.is_struct(kind):
        return "{" + ", ".join(f"{f.name}: {text(value[n], f.type, True)}" for n, f in enumerate(kind)) + "}"
    if pa.types.is_union(kind):
        return text(value.value, value.value.type, nested)
    return plain(value, kind, nested)


def plain(value, kind, nested):
    if pa.types.is_boolean(kind):
        return str(value.as_py()).lower()
    if pa.types.is_floating(kind):
        return float_text(value.as_py(), kind)
    if pa.types.is_decimal(kind):
        return f"{value.as_py():f}"
    if pa.types.is_timestamp(kind):
        return timestamp(value.value, kind)
    if pa.types.is_duration(kind):
        return interval(0, 0, value.value * NANOS[kind.unit], whole=True)
    if pa.types.is_interval(kind):
        found = value.as_py()
        return interval(found.months, found.days, found.nanoseconds)
    if isinstance(value, (pa.BinaryScalar, pa.FixedSizeBinaryScalar)) and not isinstance(value, pa.StringScalar):
        return value.as_py().hex()
    if pa.types.is_date64(kind):
        return timestamp(value.value, pa.timestamp("ms"))
    if pa.types.is_time(kind):
        return time_of_day(value.value * NANOS[kind.unit])
    found = str(value.as_py())
    return found.rstrip("\n").replace("\0", "\\0") if nested or found else "(empty)"


NANOS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def float_text(value, kind):
    if value is None:
        return "NULL"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    width = {pa.float16(): numpy.float16, pa.float32(): numpy.float32}.get(kind, numpy.float64)
    return str(width(value))


def time_of_day(nanos):
    seconds, nanos = divmod(nanos, 10**9)
    fraction = f".{nanos:09d}".rstrip("0").rstrip(".")
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}"


def timestamp(value, kind):
    """Of any year: Python's own stop at 9999."""
    nanos = value * NANOS[kind.unit]
    days, rest = divmod(nanos, 86_400 * 10**9)
    year, month, day = civil(days)
    return f"{year:04d}-{month:02d}-{day:02d}T{time_of_day(rest)}"


def civil(days):
    """Year, month and day of a number of days since 1970-01-01."""
    era, of_era = divmod(days + 719_468, 146_097)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return year + era * 400 + (month <= 2), month, day


def interval(months, days, nanos, whole=False):
    parts = []
    if months and not whole:
        parts.append(f"{months} mons")
    if whole:
        sign = -1 if nanos < 0 else 1
        days, rest = divmod(abs(nanos), 86_400 * 10**9)
        days, nanos = sign * days, sign * rest
    if days or whole:
        parts.append(f"{days} days")
    sign, nanos = ("-" if nanos < 0 else ""), abs(nanos)
    seconds, fraction = divmod(nanos, 10**9)
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    if hours or whole:
        parts.append(f"{sign}{hours} hours")
    if minutes or whole:
        parts.append(f"{sign}{minutes} mins")
    if seconds or fraction or whole:
        parts.append(f"{sign}{seconds}.{fraction:09d} secs")
    return " ".join(parts) or "0 secs"


def compare(record, found):
    """None if rows are equal by value; otherwise "rows", or "order" if only the order differs."""
    expected = record.rows
    if expected and IGNORE in "\n".join(expected):
        return None if fragments(expected, found) else "rows"
    if len(expected) == 1 and " values hashing to " in expected[0]:
        return hashed(expected[0], found, record.sort)
    if record.sort == "valuesort":
        lines = [value for row in found for value in row]
    else:
        lines = [" ".join(row) for row in found]
        if len(expected) != len(lines) and len(expected) == sum(map(len, found)):
            lines = [value for row in found for value in row]  # a value per line
    left, right = [pieces(line) for line in expected], [pieces(line) for line in lines]
    if len(left) != len(right):
        # A value with a line feed is several lines of the file.
        right = [pieces(part) for line in lines for part in line.split("\n")]
    if len(left) != len(right):
        return "rows"
    if record.sort == "nosort" and all(map(same, left, right)):
        return None
    if all(map(same, sorted(left, key=rough), sorted(right, key=rough))):
        return None if record.sort != "nosort" else "order"
    return "rows"


def pieces(line):
    """Numbers, and what is between them."""
    line = ZONED.sub(in_utc, " ".join(line.split()))
    line = MIDNIGHT.sub(r"\1", FINER.sub(r"\1", line))
    result, at = [], 0
    for match in NUMBER.finditer(line):
        result += [line[at : match.start()], float(match[0]) + 0.0]  # the two zeros are one
        at = match.end()
    return [*result, line[at:].rstrip()]


def in_utc(match):
    """An instant without its zone."""
    instant = datetime.datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00"))
    try:
        return instant.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + (match[2] or "")
    except OverflowError:  # at the ends of Python's calendar
        return match[1] + (match[2] or "")


def same(left, right):
    return len(left) == len(right) and all(
        a == b
        or (isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-11))
        for a, b in zip(left, right)
    )


def rough(line):
    return [f"{piece:.6g}" if isinstance(piece, float) else piece for piece in line]


def fragments(expected, found):
    """Whether the parts between the markers are there, in order."""
    rest = "\n".join(" ".join(row).rstrip() for row in found)
    for number, part in enumerate("\n".join(expected).split(IGNORE)):
        at = rest.find(part)
        if at < 0 or (number == 0 and at > 0):
            return False
        rest = rest[at + len(part) :]
    return True


def hashed(expected, found, sort):
    count, digest = expected.split(" values hashing to ")
    if sort == "rowsort":
        found = sorted(found)
    values = [value for row in found for value in row]
    if sort == "valuesort":
        values.sort()
    if int(count) != len(values):
        return "rows"
    return None if hashlib.md5("".join(f"{value}\n" for value in values).encode()).hexdigest() == digest else "rows"
