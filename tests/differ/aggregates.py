"""Aggregate functions whose results do not depend on the order in which rows happen to come."""

from . import types
from .tree import NOTHING, Alt, Node, expr, opt
from .types import BIGINT, BOOL, DATE, DOUBLE, STRING, TIMESTAMP


def aggregate_call(maker, rng, distinct=True):
    """A simple aggregate: its text, type and exactness."""
    tame = lambda family: maker.column(lambda c: c.type.family == family and c.tame and c.exact)
    number = tame(rng.choice(["int", "dec", "float"])) or tame("int")
    name = rng.choice(["count(*)", "count", "sum", "avg", "min", "max"])
    word = "DISTINCT " if distinct and rng.random() < 0.2 else ""
    if name == "count(*)" or name in ("sum", "avg") and number is None:
        return "count(*)", BIGINT, True
    if name == "count":
        value = maker.any(sortable=bool(word))
        if word and not value.exact:
            word = ""
        return expr(BIGINT, f"count({word}", value, ")", exact=True), BIGINT, True
    if name == "sum":
        type = BIGINT if number.type.family == "int" else number.type
        return expr(type, f"sum({word}", number.node(), ")"), type, True
    if name == "avg":
        return expr(DOUBLE, f"avg({word}", number.node(), ")"), DOUBLE, False
    type = maker.any_type(sortable=True)
    value = maker.of(type)
    return expr(type, f"{name}(", value, ")"), type, value.exact


class Aggregates:
    """Aggregates over a source. `maker` makes their arguments."""

    def __init__(self, maker, source):
        self.maker, self.rng, self.source = maker, maker.rng, source

    def make(self):
        rng, maker = self.rng, self.maker
        kind = rng.random()
        condition = opt(" FILTER (WHERE ", maker.condition(1), ")") if rng.random() < 0.15 else NOTHING
        if kind < 0.6:
            call, type, exact = aggregate_call(maker, rng)
            return expr(type, *(call.parts if isinstance(call, Node) else (call,)), condition, exact=exact)
        if kind < 0.8:
            return self.unordered(condition) or expr(BIGINT, "count(*)", condition)
        return self.ordered(condition) or expr(BIGINT, "count(*)", condition)

    def unordered(self, condition):
        rng, maker = self.rng, self.maker
        kind = rng.randrange(7)
        tame = lambda column: column.type.family in ("int", "float") and column.tame and column.exact
        if kind == 0:
            return expr(BOOL, rng.choice(["bool_and(", "bool_or("]), maker.condition(1), ")", condition)
        if kind == 1:
            # DuckDB's count_if of no rows is NULL.
            return expr(BIGINT, Alt("count_if(", "count(*) FILTER (WHERE "), maker.condition(1), ")")
        if kind == 2:
            # A column of UBIGINT is a decimal here.
            column = maker.column(lambda c: c.type.family == "int" and c.type != types.UBIGINT)
            name = rng.choice(["bit_and(", "bit_or(", "bit_xor("])
            return column and expr(column.type, name, column.node(), ")", condition)
        if kind == 3:
            column = maker.column(tame)
            name = rng.choice(["stddev_samp", "stddev_pop", "var_samp", "var_pop", "median"])
            return column and expr(DOUBLE, f"{name}(", column.node(), ")", condition, exact=False)
        if kind == 4:
            one, other = maker.column(tame), maker.column(tame)
            name = rng.choice(["covar_pop", "covar_samp"])
            return one and expr(DOUBLE, f"{name}(", one.node(), ", ", other.node(), ")", condition, exact=False)
        if kind == 5:
            column = maker.column(tame)
            # DuckDB takes the wrong end for 0 and DESC.
            share = rng.choice(["0.1", "0.25", "0.5", "0.9", "1"])
            order = self.direction()
            head, tail = f"percentile_cont({share}) WITHIN GROUP (ORDER BY ", f"{order})"
            return column and expr(DOUBLE, head, column.node(), tail, condition, exact=False)
        column = maker.column(lambda c: c.exact and c.type in (BIGINT, DATE, TIMESTAMP))
        share = rng.choice(["0.25", "0.5", "0.9"])
        order = self.direction()
        head = f"percentile_disc({share}) WITHIN GROUP (ORDER BY "
        return column and expr(column.type, head, column.node(), f"{order})", condition)

    def direction(self):
        return self.rng.choice(["", " DESC"])

    def ordered(self, condition):
        """An aggregate with an order that its result depends on."""
        rng, maker = self.rng, self.maker
        kind = rng.random()
        if kind < 0.2:
            return self.distinct(condition)
        if not self.source.keys:
            return None
        value = maker.of(STRING) if kind < 0.45 else maker.any()
        if kind < 0.6 and kind >= 0.45 and len(self.source.keys) == 1 and value.type.family != "bin":
            name = rng.choice(["max_by", "min_by", "arg_max", "arg_min"])
            return expr(value.type, f"{name}(", value, f", {self.source.keys[0]})", condition)
        order = self.order()
        if kind < 0.45:
            return expr(STRING, "string_agg(", value, ", ','", order, ")", condition)
        if kind < 0.8:
            return expr(types.array(value.type), "array_agg(", value, order, ")", condition)
        name = rng.choice(["first_value", "last_value"])
        return expr(value.type, Alt(name, name.split("_")[0]), "(", value, order, ")", condition)

    def order(self):
        """ORDER BY by what may be equal, and then by the keys."""
        words = ["", "", " DESC", " NULLS FIRST", " DESC NULLS LAST"]
        found = []
        if self.rng.random() < 0.4:
            column = self.maker.column(lambda c: c.type.sortable and c.exact)
            value = column and (column.node() if self.rng.random() < 0.7 else self.maker.of(column.type))
            found = [value, self.rng.choice(words) + ", "] if value and value.exact else []
        keys = ", ".join(key + self.rng.choice(["", " DESC"]) for key in self.source.keys)
        return expr(None, " ORDER BY ", *found, keys)

    def distinct(self, condition):
        """DISTINCT values in the order of themselves."""
        column = self.maker.column(lambda c: c.type.sortable and c.exact and c.type.family not in ("bin", "float"))
        if column is None:
            return None
        order = f" ORDER BY {column.name}{self.rng.choice(['', ' DESC', ' NULLS FIRST'])})"
        if column.type == STRING and self.rng.random() < 0.7:
            return expr(STRING, "string_agg(DISTINCT ", column.node(), ", ','", order, condition)
        return expr(types.array(column.type), "array_agg(DISTINCT ", column.node(), order, condition)
