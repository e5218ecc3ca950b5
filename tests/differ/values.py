"""Random values of each type, as Python has them, and their literals."""

import datetime
import decimal
import json
import math
import struct

from .tree import Alt, expr

UTC = datetime.timezone.utc
WORDS = [
    "a",
    "b",
    "ab",
    "abc",
    "Abc",
    "A",
    "x y",
    "zz",
    "foo",
    "bar",
    "foobar",
    "10",
    "9",
    "-3",
    "%",
    "_",
    "a_b",
    "a%b",
]
STRANGE = [
    "",
    " ",
    " a ",
    "ä",
    "Äß",
    "日本語",
    "😀",
    "e\u0301",
    "a'b",
    'a"b',
    "a\\b",
    "a\nb",
    "\t",
    "long " * 60,
    "NULL",
    "null",
]
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)


def integer_bounds(type):
    if type.signed:
        return -(1 << (type.bits - 1)), (1 << (type.bits - 1)) - 1
    return 0, (1 << type.bits) - 1


class Values:
    """Draws the values of one column. `tame` values are small, exact in sums, and without what is special."""

    def __init__(self, rng, known, type, tame, domain):
        self.rng, self.known, self.type, self.tame, self.domain = rng, known, type, tame, domain

    def draw(self):
        return self.of(self.type)

    def of(self, type):
        return getattr(self, "of_" + type.family)(type)

    def of_bool(self, _):
        return self.rng.random() < 0.5

    def of_int(self, type):
        low, high = integer_bounds(type)
        if not self.tame and self.rng.random() < 0.15:
            return self.rng.choice([low, low + 1, high, high - 1, 0])
        return max(low, min(high, self.rng.randint(-3 if self.rng.random() < 0.3 else 0, self.domain)))

    def of_dec(self, type):
        limit = 10**type.precision - 1
        if not self.tame and self.rng.random() < 0.2:
            unscaled = self.rng.choice([limit, -limit, 1, -1, limit // 3])
        else:
            unscaled = self.rng.randint(-self.domain, self.domain) * 10 ** max(0, type.scale - 1)
            unscaled += self.rng.randint(0, 9)
            unscaled = max(-limit, min(limit, unscaled))
        return decimal.Decimal(unscaled).scaleb(-type.scale, decimal.Context(prec=50))

    def of_float(self, type):
        rng = self.rng
        if not self.tame and rng.random() < 0.2:
            choices = [1e30, -1e30, 1e-30, 3.4e38, 0.1]
            if type.bits == 64:
                choices += [1.7e308, -1.7e308, 5e-324, 9007199254740993.0, 0.30000000000000004]
            choices += [math.inf, -math.inf, math.nan, math.nan, -0.0, 0.0]
            value = rng.choice(choices)
        else:
            # Multiples of 1/8 add up exactly in every order.
            value = rng.randint(-8 * self.domain, 8 * self.domain) / 8
        return struct.unpack("f", struct.pack("f", value))[0] if type.bits == 32 else value

    def of_str(self, _):
        rng = self.rng
        if not self.tame and rng.random() < 0.3:
            return rng.choice(STRANGE)
        if rng.random() < 0.5:
            return rng.choice(WORDS)
        return f"k{rng.randint(0, self.domain)}"

    def of_bin(self, _):
        return bytes(
            self.rng.choice([0, 1, 65, 97, 127, 128, 255]) for _ in range(self.rng.choice([0, 1, 1, 2, 3, 16]))
        )

    def of_date(self, _):
        if not self.tame and self.rng.random() < 0.1:
            days = [(1969, 12, 31), (1900, 2, 28), (2100, 3, 1), (1, 1, 1), (9999, 12, 31), (1582, 10, 10)]
            return datetime.date(*self.rng.choice(days))
        return datetime.date(2024, 1, 1) + datetime.timedelta(days=self.rng.randint(-40, self.domain))

    def of_ts(self, _):
        rng = self.rng
        if not self.tame and rng.random() < 0.1:
            years = [1, 1582, 1677, 1700, 1969, 2100, 2261, 2262, 2263, 9999]
            return datetime.datetime(rng.choice(years), 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
        moment = datetime.datetime(2024, 1, 1, tzinfo=UTC) + datetime.timedelta(
            hours=rng.randint(-900, self.domain * 7)
        )
        if rng.random() < 0.5:
            moment += datetime.timedelta(microseconds=rng.choice([1, 1000, 999999, 500000, 59_999_999]))
        return moment

    def of_json(self, _):
        """A document with members of every kind, in the form that both engines keep."""
        rng = self.rng
        scalars = [0, 1, -7, rng.randint(0, self.domain), 1.5, "x", "a b", "ä", "", True, False, None, 2**40]
        found = {name: rng.choice(scalars) for name in ("a", "b") if rng.random() < 0.8}
        if rng.random() < 0.6:
            found["l"] = [rng.choice(scalars) for _ in range(rng.choice([0, 1, 3]))]
        if rng.random() < 0.4:
            found["o"] = {"x": rng.choice(scalars), "y": [1]}
        return json.dumps(found, separators=(",", ":"), ensure_ascii=False)

    def of_list(self, type):
        return [
            None if self.rng.random() < 0.1 else self.of(type.item) for _ in range(self.rng.choice([0, 1, 1, 2, 3, 5]))
        ]

    def of_struct(self, type):
        return {name: None if self.rng.random() < 0.1 else self.of(field) for name, field in type.fields}


def quoted(value):
    return "'" + value.replace("'", "''") + "'"


def float_text(value, type):
    if math.isnan(value) or math.isinf(value):
        word = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return f"CAST('{word}' AS {type})"
    return f"CAST({value!r} AS {type})" if "e" not in repr(value) else f"CAST('{value!r}' AS {type})"


def literal_text(type, value, known):
    """The literal of a value: a string, or an Alt where the engines write it differently."""
    family = type.family
    if value is None:
        return Alt(f"CAST(NULL AS {type.ours})", f"CAST(NULL AS {type.duck})")
    if family == "bool":
        return "TRUE" if value else "FALSE"
    if family == "int":
        return plain_integer(value)
    if family == "dec":
        plain = f"{value:f}"
        if len(plain) < 36:
            return plain if value >= 0 else f"({plain})"
        return f"CAST('{plain}' AS {type.ours})"
    if family == "float":
        return Alt(float_text(value, type.ours), float_text(value, type.duck))
    if family == "str":
        return quoted(value)
    if family == "json":
        return f"CAST({quoted(value)} AS JSON)"
    if family == "bin":
        return Alt(f"X'{value.hex()}'", "'" + "".join(f"\\x{byte:02X}" for byte in value) + "'::BLOB")
    if family == "date":
        return f"DATE '{value.isoformat()}'"
    if family == "ts":
        text = value.replace(tzinfo=None).isoformat(" ")
        return Alt(f"TIMESTAMP '{text}'", f"TIMESTAMPTZ '{text}'")
    return nested_text(type, value, known)


def nested_text(type, value, known):
    def both(item, inner):
        found = literal_text(item, inner, known)
        return (found.ours, found.duck) if isinstance(found, Alt) else (found, found)

    if type.family == "list":
        pairs = [both(type.item, inner) for inner in value]
        ours = ", ".join(pair[0] for pair in pairs)
        duck = ", ".join(pair[1] for pair in pairs)
        return Alt(f"CAST(ARRAY[{ours}] AS {type.item.ours}[])", f"CAST([{duck}] AS {type.duck})")
    pairs = [(name, both(field, value[name])) for name, field in type.fields]
    ours = ", ".join(
        f"'{name}', CAST({pair[0]} AS {field.ours})" for (name, pair), (_, field) in zip(pairs, type.fields)
    )
    duck = ", ".join(
        f"{name} := CAST({pair[1]} AS {field.duck})" for (name, pair), (_, field) in zip(pairs, type.fields)
    )
    return Alt(f"named_struct({ours})", f"struct_pack({duck})")


def plain_integer(value):
    return str(value) if value >= 0 else f"({value})"


def literal(type, value, known):
    """A literal as an expression."""
    size = abs(value) if type.family in ("int", "dec", "float") and value is not None else None
    return expr(type, literal_text(type, value, known), size=size, value=value)


def micros(moment):
    """A point in time as microseconds since 1970."""
    if isinstance(moment, datetime.datetime):
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - EPOCH) // datetime.timedelta(microseconds=1)
    return (moment - EPOCH.date()).days * 86_400_000_000
