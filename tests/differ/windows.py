"""Window functions whose results do not depend on the order in which rows happen to come."""

from . import types
from .aggregates import aggregate_call
from .expressions import Expressions
from .tree import NOTHING, Alt, expr, opt, text
from .types import BIGINT, BOOL, DATE, DOUBLE, STRING, TIMESTAMP


class Windows:
    """Window expressions over a source."""

    def __init__(self, rng, known, source):
        self.rng, self.known, self.source = rng, known, source
        self.maker = Expressions(rng, known, source.columns, depth=1)

    def make(self):
        rng = self.rng
        total = self.source.keys is not None
        kind = rng.random()
        if kind < 0.35 or not total:
            return self.aggregate(total)
        type = self.maker.any_type(sortable=True)
        value = self.maker.of(type)
        call, result, exact = rng.choice(
            [
                (("row_number()",), BIGINT, True),
                (("rank()",), BIGINT, True),
                (("dense_rank()",), BIGINT, True),
                (("percent_rank()",), DOUBLE, False),
                (("cume_dist()",), DOUBLE, False),
                ((f"ntile({rng.choice([1, 3, 7])})",), BIGINT, True),
                (("lag(", value, ")"), type, value.exact),
                (("lead(", value, f", {rng.choice([1, 2])})"), type, value.exact),
                (("lag(", value, f", {rng.choice([1, 3])}, ", self.maker.literal(type), ")"), type, value.exact),
                (("first_value(", value, ")"), type, value.exact),
                (("last_value(", value, ")"), type, value.exact),
                (("nth_value(", value, ", 2)"), type, value.exact),
            ]
        )
        name = call[0].split("(")[0]
        nulls = ""
        if name in ("lag", "lead", "first_value", "last_value") and rng.random() < 0.3:
            # DuckDB wants it within the call.
            call = (*call[:-1], Alt(call[-1] + " IGNORE NULLS", call[-1][:-1] + " IGNORE NULLS)"))
        frame = ""
        if name in ("first_value", "last_value", "nth_value"):
            frame = self.frame(total)
        peers = name in ("rank", "dense_rank", "percent_rank", "cume_dist") and rng.random() < 0.5
        return expr(result, *call, nulls, " OVER (", self.partition(), self.order(not peers), frame, ")", exact=exact)

    def partition(self):
        if self.rng.random() < 0.35:
            return ""
        columns = [column for column in self.source.columns if column.type.sortable and column.exact]
        if not columns:
            return ""
        return opt("PARTITION BY ", self.rng.choice(columns).node(), " ")

    def order(self, total):
        """ORDER BY, by the keys too if it has to be total."""
        direction = self.rng.choice(["", " DESC"])
        nulls = self.rng.choice(["", "", " NULLS FIRST", " NULLS LAST"])
        columns = [column for column in self.source.columns if self.orders(column)]
        found = [self.rng.choice(columns).name + direction + nulls] if columns and self.rng.random() < 0.7 else []
        if total:
            found += [
                key + direction
                for key in self.source.keys
                if key not in {c.name for c in columns if found and c.name == found[0].split(" ")[0]}
            ]
        return "ORDER BY " + ", ".join(found) if found else ""

    def orders(self, column):
        return column.type.sortable and column.exact

    def frame(self, total):
        """A frame. ROWS only where the order is total."""
        starts = ["UNBOUNDED PRECEDING", "2 PRECEDING", "CURRENT ROW", "1 FOLLOWING"]
        ends = ["CURRENT ROW", "1 FOLLOWING", "3 FOLLOWING", "UNBOUNDED FOLLOWING"]
        if not total or self.rng.random() < 0.3:
            starts, ends = starts[::2], ends[::3]
            unit = self.rng.choice(["RANGE", "RANGE", "GROUPS"])
        else:
            unit = "ROWS"
            if self.rng.random() < 0.2:
                unit = "GROUPS"
        start, end = self.rng.choice(starts), self.rng.choice(ends)
        if start == "1 FOLLOWING" and end == "CURRENT ROW":
            end = "1 FOLLOWING"
        return text(opt(f" {unit} BETWEEN {start} AND {end}"), self.exclusion())

    def exclusion(self):
        """EXCLUDE, which needs a frame before it."""
        return self.rng.choice([""] * 6 + [" EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES"])

    def listed(self):
        """An aggregate that depends on the order of its frame's rows."""
        value = self.maker.of(STRING) if self.rng.random() < 0.5 else self.maker.any()
        kind = self.rng.randrange(3)
        if value.type == STRING and kind == 0:
            call, type = expr(STRING, "string_agg(", value, ", ',')"), STRING
        elif kind == 1:
            call, type = expr(BOOL, "bool_or(", value, " IS NULL)"), BOOL
        else:
            call, type = expr(types.array(value.type), "array_agg(", value, ")"), types.array(value.type)
        return expr(type, call, " OVER (", self.partition(), self.order(True), self.frame(True), ")")

    def ranged(self):
        """ORDER BY a number or a date, with a frame of RANGE that has offsets; None if there is no such column."""
        column = self.maker.column(lambda c: c.tame and c.exact and self.measures(c.type))
        if column is None:
            return None
        times = column.type in (DATE, TIMESTAMP)
        words = [f"INTERVAL '{n}' {self.rng.choice(['DAY', 'DAY', 'MONTH'])}" if times else str(n) for n in (2, 5)]
        start = self.rng.choice(
            [f"{words[0]} PRECEDING", "UNBOUNDED PRECEDING", "CURRENT ROW", f"{words[1]} PRECEDING"]
        )
        end = self.rng.choice(["CURRENT ROW", f"{words[1]} FOLLOWING", "UNBOUNDED FOLLOWING"])
        frame = text(opt(f" RANGE BETWEEN {start} AND {end}"), self.exclusion())
        return text(f"ORDER BY {column.name}{self.rng.choice(['', ' DESC'])}", frame)

    def measures(self, type):
        """Whether values of a type have distances."""
        return type in (BIGINT, DATE, TIMESTAMP) or type.family == "dec" and type.precision < 18

    def aggregate(self, total):
        rng = self.rng
        call, type, exact = aggregate_call(self.maker, rng, distinct=rng.random() < 0.3)
        condition = ""
        if total and rng.random() < 0.15:
            return self.listed()
        if rng.random() < 0.25:
            condition = opt(" FILTER (WHERE ", self.maker.condition(1), ")")
        ranged = self.ranged() if rng.random() < 0.2 else None
        if ranged:
            return expr(type, call, condition, " OVER (", self.partition(), ranged, ")", exact=exact)
        order = self.order(total) if rng.random() < 0.7 else ""
        frame = self.frame(total) if order and rng.random() < 0.6 else ""
        return expr(type, call, condition, " OVER (", self.partition(), order, frame, ")", exact=exact)

    def qualify(self):
        """QUALIFY with a number of rows per group; nothing where rows have no keys."""
        if self.source.keys is None:
            return NOTHING
        name = self.rng.choice(["row_number()", "rank()", "dense_rank()", "count(*)"])
        sign = self.rng.choice([" = 1", " <= 2", " > 1"])
        return opt(f" QUALIFY {name} OVER (", self.partition(), self.order(True), f"){sign}")
