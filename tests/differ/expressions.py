"""Random scalar expressions over the columns in scope."""

import dataclasses

from . import types
from .functions import Functions
from .nested import Nested
from .tree import Alt, Node, expr, seq
from .types import BIGINT, BOOL, DATE, DOUBLE, STRING, TIMESTAMP
from .values import Values, integer_bounds, literal

PARAMETERS = ("int", "dec", "float", "str", "date", "ts", "bool")


@dataclasses.dataclass(frozen=True)
class Column:
    """A column in scope. `tame` says that its values are small and add up exactly."""

    name: str
    type: types.Type
    tame: bool = True
    exact: bool = True
    size: object = None

    def node(self):
        return expr(self.type, self.name, exact=self.exact, size=self.size)


class Expressions(Functions, Nested):
    """Generates expressions. `subquery` is a function that makes a scalar subquery of a type, or None."""

    def __init__(self, rng, known, columns, depth=3, subqueries=None):
        self.rng, self.known, self.columns, self.depth = rng, known, columns, depth
        self.subqueries = subqueries

    def chance(self, share):
        return self.rng.random() < share

    def of(self, type, depth=None):
        """An expression of a type; of numbers, of its family."""
        depth = self.depth if depth is None else depth
        if depth <= 0 or self.chance(0.25):
            return self.leaf(type)
        if self.chance(0.06):
            found = self.element(type)
            if found:
                return found
        if self.subqueries and self.chance(0.04):
            found = self.subqueries.scalar(self, type)
            if found:
                return found
        makers = [self.choice_of, self.coalesce]
        specific = getattr(self, "make_" + type.family, None)
        if specific and self.chance(0.8):
            return specific(type, depth - 1)
        return self.rng.choice(makers)(type, depth - 1)

    def leaf(self, type):
        """A column of a type if there is one, or a literal."""
        found = [column for column in self.columns if column.type == type]
        if not found and type.family in ("int", "float"):
            found = [
                c for c in self.columns if c.type.family == type.family and c.type.bits <= type.bits and c.type.signed
            ]
        if found and self.chance(0.8):
            return self.rng.choice(found).node()
        return self.literal(type)

    def column(self, wanted):
        """A column that satisfies a predicate, or None."""
        found = [column for column in self.columns if wanted(column)]
        return self.rng.choice(found) if found else None

    def literal(self, type, null=0.04):
        # The least integer has no literal of its own, and overflows in most functions.
        tame = self.chance(0.8) or type.family == "int"
        value = None if self.chance(null) else Values(self.rng, self.known, type, tame, 30).draw()
        return literal(type, value, self.known)

    def bound(self, type):
        """A literal that may be sent as a parameter."""
        value = self.literal(type)
        if not self.known.allows("parameters") or type.family not in PARAMETERS or not self.chance(0.2):
            return value
        if type == TIMESTAMP and value.value is not None:
            # A bound instant is the same in every time zone; a literal is read in the session's.
            moment = value.value.replace(tzinfo=None).isoformat(" ")
            written = Alt(f"TIMESTAMP '{moment}+00:00'", f"TIMESTAMPTZ '{moment}+00:00'")
            value = expr(type, written, value=value.value)
        return expr(type, Node("param", value.parts, type, value=value.value), size=value.size, value=value.value)

    def any_type(self, sortable=False):
        """The type of some column in scope, or another one."""
        types_ = [column.type for column in self.columns if column.type.sortable or not sortable]
        if types_ and self.chance(0.85):
            return self.rng.choice(types_)
        return self.rng.choice((BIGINT, BOOL, DOUBLE, STRING, DATE, TIMESTAMP, types.decimal(10, 2)))

    def any(self, sortable=False, depth=None):
        return self.of(self.any_type(sortable), depth)

    def choice_of(self, type, depth):
        """CASE, in both of its forms."""
        arms = []
        sizes = []
        if self.chance(0.7):
            head = "CASE"
            for _ in range(self.rng.choice([1, 1, 2])):
                value = self.of(type, depth)
                sizes.append(value)
                arms.append(expr(None, " WHEN ", self.condition(depth), " THEN ", value))
            head = expr(None, head)
        else:
            subject = self.any_type(sortable=True)
            head = expr(None, "CASE ", self.of(subject, depth))
            for _ in range(self.rng.choice([1, 2])):
                value = self.of(type, depth)
                sizes.append(value)
                arms.append(expr(None, " WHEN ", self.literal(subject), " THEN ", value))
        parts = [head, seq(arms, "")]
        if self.chance(0.7):
            value = self.of(type, depth)
            sizes.append(value)
            parts += [" ELSE ", value]
        return expr(type, *parts, " END", size=largest(sizes))

    def coalesce(self, type, depth):
        values = [self.of(type, depth) for _ in range(2)]
        if type.family in ("list", "struct", "bin", "json"):
            return expr(type, "coalesce(", values[0], ", ", values[1], ")")
        name = self.rng.choice(["coalesce", "coalesce", "nullif", "greatest", "least"])
        size = values[0].size if name == "nullif" else largest(values)
        return expr(type, f"{name}(", values[0], ", ", values[1], ")", size=size)

    def condition(self, depth=None):
        depth = self.depth if depth is None else depth
        return self.of(BOOL, depth)

    def about_rows(self):
        """A condition for WHERE or ON."""
        return self.condition()

    def operand(self, depth):
        """An operand of AND, OR or NOT, which need no brackets around IS DISTINCT FROM."""
        if self.chance(0.92):
            return self.condition(depth)
        left, right = self.pair(depth)
        return expr(BOOL, left, f" IS {self.rng.choice(['', 'NOT '])}DISTINCT FROM ", right)

    # Predicates

    def make_bool(self, _, depth):
        kind = self.rng.random()
        if kind < 0.22:
            word = self.rng.choice([" AND ", " OR "])
            return expr(BOOL, "(", seq([self.operand(depth), self.operand(depth)], word), ")")
        if kind < 0.28:
            return expr(BOOL, "(NOT ", self.operand(depth), ")")
        if kind < 0.36:
            word = self.rng.choice([" IS NULL", " IS NOT NULL"])
            return expr(BOOL, "(", self.any(depth=depth), word, ")")
        if kind < 0.4:
            word = self.rng.choice([" IS TRUE", " IS NOT TRUE", " IS FALSE", " IS NOT FALSE", " IS UNKNOWN"])
            word = Alt(word, word.replace("IS UNKNOWN", "IS NULL"))
            return expr(BOOL, "(", self.condition(depth), word, ")")
        if kind < 0.48:
            return self.like(depth)
        if kind < 0.56:
            return self.in_list(depth)
        if kind < 0.62:
            type = self.any_type(sortable=True)
            word = self.rng.choice([" BETWEEN ", " BETWEEN ", " NOT BETWEEN "])
            return expr(BOOL, "(", self.of(type, depth), word, self.of(type, 0), " AND ", self.of(type, 0), ")")
        if kind < 0.68 and self.subqueries:
            return self.subqueries.predicate(self, depth)
        if kind < 0.74:
            found = self.about_json() if kind < 0.7 else self.about_array(depth)
            if found:
                return found
        return self.comparison(depth)

    def comparison(self, depth):
        if self.chance(0.05):
            column = self.column(lambda column: column.type == TIMESTAMP and column.tame)
            if column:
                span = self.rng.choice(["'1' DAY", "'24' HOUR", "'30' DAY", "'1' HOUR"])
                origin = Alt("TIMESTAMP '2024-01-01 00:00:00'", "TIMESTAMPTZ '2024-01-01 00:00:00'")
                return expr(
                    BOOL, "((", column.node(), " - ", origin, f") {self.rng.choice(['<', '>', '='])} INTERVAL {span})"
                )
        sign = self.rng.choice(["=", "<>", "<", "<=", ">", ">=", "=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"])
        left, right = self.pair(depth)
        return expr(BOOL, "(", left, f" {sign} ", right, ")")

    def pair(self, depth):
        """Two values that can be compared."""
        type = self.any_type(sortable=True)
        if type.family in ("int", "dec", "float") and self.chance(0.3):
            left = self.column(lambda column: column.type.family in ("int", "dec", "float") and column.tame)
            right = self.column(lambda column: column.type.family in ("int", "dec", "float") and column.tame)
            if left and right:
                return left.node(), right.node()
        if self.chance(0.3):
            return self.of(type, depth), self.bound(type)
        return self.of(type, depth), self.of(type, depth if self.chance(0.4) else 0)

    def like(self, depth):
        pattern = self.rng.choice(["%", "a%", "%b", "%a%", "_", "a_b", "%o_", "", "k1%", "foo", "A%", "%\u00e4%"])
        word = self.rng.choice(["LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE"])
        return expr(BOOL, "(", self.of(STRING, depth), f" {word} ", literal(STRING, pattern, self.known), ")")

    def in_list(self, depth):
        type = self.any_type(sortable=True)
        items = [self.literal(type, 0.1) for _ in range(self.rng.choice([1, 2, 3, 5]))]
        word = self.rng.choice([" IN (", " IN (", " NOT IN ("])
        return expr(BOOL, "(", self.of(type, depth), word, seq(items), "))")


def is_constant(node):
    """Whether a node names no column; GROUP BY takes such a number for a position."""
    if isinstance(node, str):
        return "." not in node or "'" in node
    if isinstance(node, Alt):
        return True
    return all(is_constant(part) for part in node.parts)


def largest(values):
    sizes = [value.size for value in values]
    return None if None in sizes or not sizes else max(sizes)


def fits(type, size):
    """Whether values up to a size fit an integer type."""
    return size is not None and size <= integer_bounds(type)[1]
