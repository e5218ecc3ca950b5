"""Arithmetic and functions of each family of types."""

from . import types
from .tree import Alt, expr
from .types import BIGINT, BOOL, DATE, DOUBLE, STRING, TIMESTAMP

UNITS = ["year", "quarter", "month", "week", "day", "hour", "minute"]
FIELDS = ["year", "month", "day", "hour", "minute", "dow", "doy", "quarter", "week", "isodow"]
INTERVALS = ["'1' DAY", "'3' MONTH", "'2' HOUR", "'1' YEAR", "'36' HOUR", "'45' MINUTE"]


class Functions:
    """The part of Expressions that knows functions; `self` is an Expressions."""

    def number(self, type, depth):
        """An operand of a type; None now and then where it may have any size, as sums of such leave their type."""
        value = self.of(type, depth)
        return value if value.size is not None or self.chance(0.1) else None

    # Integers

    def make_int(self, type, depth):
        kind = self.rng.random()
        if kind < 0.45:
            return self.integer_arithmetic(type, depth)
        if kind < 0.55:
            value = self.number(type, depth)
            return expr(type, "abs(", value, ")", size=value.size) if value else self.leaf(type)
        if kind < 0.62:
            value = self.number(type, depth)
            return expr(type, "(-", value, ")", size=value.size) if value and type.signed else self.leaf(type)
        wide = expr(BIGINT, *self.count_of(depth), size=10**7)
        return wide if type == BIGINT else self.leaf(type)

    def integer_arithmetic(self, type, depth):
        left, right = self.number(type, depth), self.number(type, depth)
        sign = self.rng.choice(["+", "-", "*", "%", "/", "&", "|"])
        # UBIGINT is a decimal here, whose quotient has a fraction.
        sign = "%" if sign == "/" and type == types.UBIGINT else sign
        if sign in "%/":
            if left is None:
                left = self.leaf(type)
            value = self.rng.choice([2, 3, 7, 10])
            return expr(type, "(", left, f" {sign} {value})", size=left.size)
        if left is None or right is None:
            return self.leaf(type)
        if sign in "&|":
            return expr(type, "(", left, f" {sign} ", right, ")", size=None)
        bound = None
        if left.size is not None and right.size is not None:
            bound = left.size * right.size if sign == "*" else left.size + right.size
        if not self.chance(0.05):
            limit = (1 << (type.bits - 1)) - 1
            if bound is None or bound > limit or (sign == "-" and not type.signed):
                return left
        return expr(type, "(", left, f" {sign} ", right, ")", size=bound)

    def count_of(self, depth):
        """The parts of an integer that comes from another type."""
        kind = self.rng.random()
        if kind < 0.3:
            if kind < 0.1:
                return ["strpos(", self.of(STRING, depth), ", ", self.of(STRING, 0), ")"]
            return [self.rng.choice(["length(", "length(", "ascii("]), self.of(STRING, depth), ")"]
        if kind < 0.7:
            source = self.of(self.rng.choice([DATE, TIMESTAMP]), depth)
            field = self.rng.choice(FIELDS)
            if source.type == DATE and field in ("hour", "minute"):
                field = "day"
            return ["CAST(", f"extract({field} FROM ", source, ") AS BIGINT)"]
        if kind < 0.8:
            found = self.integer_of_json() if self.chance(0.4) else self.integer_of_array(depth)
            if found:
                return found
        if kind < 0.9:
            column = self.column(lambda column: column.tame and column.type.family in ("dec", "float"))
            if column:
                return ["CAST(", column.node(), " AS BIGINT)"]
        return ["CAST(", self.of(BOOL, depth), " AS INT)"]

    # Decimals and floats

    def make_dec(self, type, depth):
        kind = self.rng.random()
        room = types.decimal(min(38, type.precision + 1), type.scale)
        if kind < 0.3 and type.precision < 30:
            left, right = self.of(type, depth), self.of(type, 0)
            sign = self.rng.choice(["+", "-"])
            wide = Alt(f" AS {room.ours})", f" AS {room.duck})")
            return expr(type, "(CAST(", left, wide, f" {sign} ", right, ")") if type.precision < 18 else left
        if kind < 0.45 and type.precision <= 18:
            left, right = self.leaf(type), self.leaf(type)
            return expr(type, "(", left, " * ", right, ")")
        if kind < 0.6:
            return expr(type, "abs(", self.of(type, depth), ")")
        if kind < 0.7:
            return expr(type, "(-", self.of(type, depth), ")")
        if kind < 0.8:
            return expr(type, "round(", self.of(type, depth), f", {self.rng.choice([0, 1, 2])})")
        if kind < 0.9 and type.precision - type.scale >= 8:
            source = self.column(lambda column: column.type.family == "int" and column.tame)
            if source:
                return expr(type, "CAST(", source.node(), Alt(f" AS {type.ours})", f" AS {type.duck})"))
        return self.coalesce(type, depth)

    def make_float(self, type, depth):
        kind = self.rng.random()
        if kind < 0.4:
            sign = self.rng.choice(["+", "-", "*"])
            return expr(type, "(", self.of(type, depth), f" {sign} ", self.of(type, depth), ")", exact=False)
        if kind < 0.5:
            right = self.of(type, 0)
            return expr(type, "(", self.of(type, depth), " / nullif(", right, ", 0))", exact=False)
        if kind < 0.65:
            # Not `signum`: DuckDB's of NaN is 0.
            name = self.rng.choice(["abs(", "floor(", "ceil(", "round(", "trunc("])
            return expr(type, name, self.of(type, depth), ")")
        if kind < 0.75 and type == DOUBLE:
            return expr(type, "sqrt(abs(", self.of(type, depth), "))", exact=False)
        if kind < 0.85 and type == DOUBLE:
            source = self.column(lambda c: c.type.family in ("int", "dec") and c.tame)
            if source:
                return expr(type, "CAST(", source.node(), " AS DOUBLE)")
        if kind < 0.9 and type == DOUBLE:
            return expr(type, "round(", self.of(type, depth), ", 2)", exact=False)
        return expr(type, "(-", self.of(type, depth), ")")

    # Strings and bytes

    def make_str(self, type, depth):
        if self.chance(0.12):
            found = self.text_of_json() if self.chance(0.5) else self.text_of_array(depth)
            if found:
                return found
        value = self.of(STRING, depth)
        kind = self.rng.randrange(15)
        number = self.rng.choice([0, 1, 2, 3, 5])
        if kind < 2:
            return expr(STRING, "(", value, " || ", self.of(STRING, 0), ")")
        if kind == 2:
            return expr(STRING, "concat(", value, ", ", self.of(STRING, 0), ", 'x')")
        if kind == 3:
            return expr(STRING, "substr(", value, f", {max(1, number)}, {self.rng.choice([0, 1, 4])})")
        if kind == 4:
            return expr(STRING, "replace(", value, ", 'a', 'zz')")
        if kind == 5:
            return expr(STRING, self.rng.choice(["left(", "right("]), value, f", {self.rng.choice([-2, 0, 1, 3])})")
        if kind == 6:
            return expr(STRING, self.rng.choice(["lpad(", "rpad("]), value, f", {number + 3}, 'xy')")
        if kind == 7:
            return expr(STRING, "split_part(", value, ", 'o', ", str(max(1, number)), ")")
        if kind == 8:
            return expr(STRING, "repeat(", value, f", {number})")
        if kind == 9:
            return expr(STRING, "concat_ws('-', ", value, ", ", self.of(STRING, 0), ", NULL, 'e')")
        if kind == 10:
            return expr(STRING, "translate(", value, ", 'abc', 'xy')")
        if kind == 11:
            source = self.column(lambda column: column.type.family in ("int", "dec", "bool", "date"))
            if source:
                return expr(STRING, "CAST(", source.node(), Alt(" AS STRING)", " AS VARCHAR)"))
        if kind == 12:
            return expr(STRING, "regexp_replace(", value, ", '[a-c]+', '<>'", ")")
        if kind == 13:
            return expr(STRING, "md5(", value, ")")
        name = self.rng.choice(["lower", "upper", "trim", "ltrim", "rtrim", "reverse"])
        return expr(STRING, f"{name}(", value, ")")

    # Dates and instants

    def make_date(self, type, depth):
        kind = self.rng.random()
        if kind < 0.3:
            return expr(DATE, "CAST(", self.of(TIMESTAMP, depth), " AS DATE)")
        if kind < 0.5:
            return expr(
                DATE, "CAST(", f"date_trunc('{self.rng.choice(UNITS[:5])}', ", self.of(DATE, depth), ") AS DATE)"
            )
        if kind < 0.7:
            source = self.column(lambda column: column.type == DATE and column.tame)
            if source:
                interval = self.rng.choice(INTERVALS[:2])
                return expr(DATE, "(", source.node(), f" {self.rng.choice('+-')} INTERVAL {interval})")
        return self.leaf(type)

    def make_ts(self, type, depth):
        kind = self.rng.random()
        if kind < 0.35:
            return expr(TIMESTAMP, f"date_trunc('{self.rng.choice(UNITS)}', ", self.of(TIMESTAMP, depth), ")")
        if kind < 0.6:
            source = self.column(lambda column: column.type == TIMESTAMP and column.tame)
            if source:
                return expr(
                    TIMESTAMP, "(", source.node(), f" {self.rng.choice('+-')} INTERVAL {self.rng.choice(INTERVALS)})"
                )
        if kind < 0.75:
            return expr(TIMESTAMP, "CAST(", self.of(DATE, depth), Alt(" AS TIMESTAMP)", " AS TIMESTAMPTZ)"))
        return self.leaf(type)
