"""Random SELECT statements over the tables of a schema."""

import dataclasses

from . import types
from .aggregates import Aggregates
from .expressions import Column, Expressions, is_constant
from .sources import Sources
from .subqueries import Subqueries
from .tree import NOTHING, OURS, Alt, Node, expr, opt, query, render, seq, text
from .types import BIGINT, BOOL, DATE, DOUBLE, INT, STRING, TIMESTAMP
from .values import Values, literal
from .windows import Windows

# Types that a set operation brings to one type.
ALIKE = {
    BIGINT: (INT, types.decimal(10, 2), types.SMALLINT, DOUBLE),
    INT: (BIGINT, types.decimal(12, 3), types.TINYINT),
    types.decimal(10, 2): (types.decimal(12, 3), BIGINT, types.decimal(20, 5)),
    DATE: (TIMESTAMP,),
    TIMESTAMP: (DATE,),
}


@dataclasses.dataclass
class Built:
    """A query with the columns it returns. Its rows differ in `keys`, if these are not None."""

    node: Node
    columns: list
    keys: list
    rows: int = 1000
    ordered: bool = False


class Statements(Sources):
    """Generates the statements of one schema."""

    def __init__(self, rng, known, tables):
        self.rng, self.known, self.tables = rng, known, tables
        self.aliases, self.ctes, self.used = 0, [], set()

    def statement(self):
        """A whole statement: a query, often with CTEs, often ordered."""
        kind = self.rng.random()
        if kind < 0.03:
            return self.recursive()
        if kind < 0.06:
            return self.distinct_on(2, top=True)
        prefix = []
        if kind < 0.25:
            for number in range(self.rng.choice([1, 1, 2])):
                built = self.query(1)
                prefix.append(text(f"q{number} AS (", built.node, ")"))
                self.ctes.append((f"q{number}", built))
        built = self.query(2)
        head = [text("WITH ", seq(prefix), " ")] if prefix else []
        return self.ordered(head, built)

    def ordered(self, head, built):
        """The statement with ORDER BY over all its columns, and perhaps LIMIT."""
        sortable = all(column.type.sortable for column in built.columns)
        if not sortable or self.rng.random() < 0.4:
            return dataclasses.replace(built, node=query(*head, built.node))
        exact = all(column.exact for column in built.columns)
        words = ["", "", " DESC", " ASC NULLS FIRST", " DESC NULLS LAST"]
        order = [text(column.name + self.rng.choice(words)) for column in built.columns]
        limit = NOTHING
        if exact and self.rng.random() < 0.4:
            offset = self.rng.choice(["", "", f" OFFSET {self.rng.choice([0, 1, 5])}"])
            limit = opt(f" LIMIT {self.rng.choice([0, 1, 3, 10])}{offset}")
        node = query(*head, "SELECT * FROM (", built.node, ") AS o ORDER BY ", seq(order), limit)
        if self.rng.random() < 0.7 and "SELECT" in str(built.node.parts[0]):
            node = query(*head, built.node, " ORDER BY ", seq(order), limit)
        return dataclasses.replace(built, node=node, ordered=exact)

    def query(self, depth):
        kind = self.rng.random()
        if kind < 0.4:
            return self.select(depth)
        if kind < 0.78:
            return self.grouped(depth)
        if kind < 0.9 and depth > 0:
            return self.set_operation(depth - 1)
        if kind < 0.95:
            return self.distinct_on(depth)
        return self.select(depth)

    def where(self, source, depth):
        if self.rng.random() < 0.35:
            return NOTHING
        maker = Expressions(self.rng, self.known, source.columns, 2, Subqueries(self, "where", depth))
        parts = [maker.about_rows() for _ in range(self.rng.choice([1, 1, 2]))]
        if self.rng.random() < 0.15:
            parts[0] = self.fixed(source) or parts[0]
        return opt(" WHERE ", seq(parts, " AND "))

    def fixed(self, source):
        """A condition that leaves one value of a column, or two columns that are equal; None if there are none."""
        columns = [column for column in source.columns if column.tame and column.exact and column.type.sortable]
        if not columns:
            return None
        column = self.rng.choice(columns)
        others = [other for other in columns if other.type == column.type and other.name != column.name]
        if others and self.rng.random() < 0.3:
            return expr(BOOL, "(", column.node(), " = ", self.rng.choice(others).node(), ")")
        value = Values(self.rng, self.known, column.type, True, 3).draw()
        return expr(BOOL, "(", column.node(), " = ", literal(column.type, value, self.known), ")")

    def select(self, depth, wanted=None):
        """SELECT without GROUP BY; of given types, if these are given."""
        source = self.from_(depth)
        maker = Expressions(self.rng, self.known, source.columns, 2, Subqueries(self, "select", depth))
        windows = Windows(self.rng, self.known, source) if wanted is None and self.rng.random() < 0.3 else None
        items, columns = [], []

        def add(value, type):
            name = f"c{len(items)}"
            items.append(text(value, f" AS {name}"))
            columns.append(Column(name, type, False, value.exact, value.size))
            return name

        where = self.where(source, depth)
        for type in wanted or [None] * self.rng.choice([1, 2, 3, 4]):
            if windows and self.rng.random() < 0.5:
                value = windows.make()
                add(value, value.type)
                continue
            value = self.nested_item(maker) if wanted is None and self.rng.random() < 0.06 else None
            if value is None:
                type = type or maker.any_type()
                value = maker.of(type)
            add(value, value.type)
        keys = None
        if wanted is None and source.keys is not None and self.rng.random() < 0.4:
            by_name = {column.name: column for column in source.columns}
            keys = [add(by_name[key].node(), by_name[key].type) for key in source.keys]
        word = ""
        if wanted is None and all(column.exact for column in columns) and self.rng.random() < 0.15:
            word = "DISTINCT "
            keys = [column.name for column in columns]
        tail = []
        if windows and self.rng.random() < 0.2:
            # A window with a name; it stands before QUALIFY.
            call = self.rng.choice(["count(*)", "row_number()", "rank()"])
            add(expr(BIGINT, f"{call} OVER w"), BIGINT)
            total = source.keys is not None
            over = text(windows.partition(), windows.order(total)) if total or call != "row_number()" else None
            if over is None:
                items.pop(), columns.pop()
            else:
                tail = [" WINDOW w AS (", over, ")"]
        if windows and self.rng.random() < 0.2:
            tail.append(windows.qualify())
        node = query(f"SELECT {word}", seq(items), " FROM ", source.node, where, *tail)
        return Built(node, columns, keys, source.rows)

    def nested_item(self, maker):
        return maker.item_of_array()

    def grouped(self, depth):
        source = self.from_(depth)
        where = self.where(source, depth)
        maker = Expressions(self.rng, self.known, source.columns, 1)
        aggregates = Aggregates(maker, source)
        groups, items, columns = [], [], []
        for _ in range(self.rng.choice([0, 1, 1, 1, 2, 3])):
            nested = self.rng.random() < 0.1
            column = maker.column(lambda c: (c.type.sortable or nested and c.type.family != "json") and c.exact)
            if column is None:
                break
            value = column.node() if self.rng.random() < 0.75 else maker.of(column.type)
            if not value.exact or " " not in str(value.parts) and not value.parts:
                continue
            if is_constant(value):
                continue
            groups.append(value)
        sets = len(groups) > 0 and self.rng.random() < 0.15
        for number, value in enumerate(groups):
            items.append(text(value, f" AS c{number}"))
            columns.append(Column(f"c{number}", value.type, False, True))
        if sets and self.rng.random() < 0.5:
            items.append(text("grouping(", groups[0], f") AS c{len(items)}"))
            columns.append(Column(f"c{len(columns)}", BIGINT))
        for _ in range(self.rng.choice([1, 2, 3])):
            value = aggregates.make()
            items.append(text(value, f" AS c{len(items)}"))
            columns.append(Column(f"c{len(columns)}", value.type, False, value.exact))
        above = bool(groups) and self.rng.random() < 0.1
        if above:
            value = self.above(groups, sets)
            items.append(text(value, f" AS c{len(items)}"))
            columns.append(Column(f"c{len(columns)}", BIGINT))
        having = NOTHING
        if self.rng.random() < 0.2:
            having = opt(" HAVING ", expr(BOOL, "(count(*)", self.rng.choice([" > 1", " = 1", " >= 0", " < 5"]), ")"))
            if self.rng.random() < 0.3:
                value = aggregates.make()
                having = opt(" HAVING ", expr(BOOL, "(", value, self.rng.choice([" IS NULL)", " IS NOT NULL)"])))
        by = self.group_by(groups, sets, above)
        keys = [f"c{number}" for number in range(len(groups))] if groups and not sets else None
        node = query("SELECT ", seq(items), " FROM ", source.node, where, by, having)
        return Built(node, columns, keys, max(1, source.rows // 2))

    def group_by(self, groups, sets, above):
        if not groups and self.rng.random() < 0.2:
            # DuckDB forgets the second of two empty sets where no aggregate is read.
            return opt(" GROUP BY GROUPING SETS (())")
        if not groups:
            return NOTHING
        if not sets:
            # Columns of the result by their place, or all that are no aggregates.
            places = [str(number + 1) for number in range(len(groups))]
            form = self.rng.random()
            if form < 0.15:
                return text(f" GROUP BY {', '.join(places)}")
            return text(" GROUP BY ALL") if form < 0.2 and not above else text(" GROUP BY ", seq(groups))
        word = self.rng.choice(["ROLLUP", "CUBE", "GROUPING SETS"])
        if word != "GROUPING SETS":
            return text(f" GROUP BY {word} (", seq(groups), ")")
        # One set has all groups, as each of them is selected.
        parts = [text("(", groups[0], ")"), text("()")][: self.rng.choice([1, 2])] + [text("(", seq(groups), ")")]
        self.rng.shuffle(parts)
        return text(" GROUP BY GROUPING SETS (", seq(parts), ")")

    def above(self, groups, sets):
        """A window above groups."""
        if sets or self.rng.random() < 0.4:
            over = "" if self.rng.random() < 0.5 else opt("PARTITION BY ", groups[0])
            return expr(BIGINT, "sum(count(*)) OVER (", over, ")")
        order = seq([text(value, self.rng.choice(["", " DESC"])) for value in groups])
        name = self.rng.choice(["row_number()", "rank()", "sum(count(*))", "max(count(*))"])
        return expr(BIGINT, f"{name} OVER (ORDER BY ", order, ")")

    def set_operation(self, depth):
        word = self.rng.choice(
            ["UNION ALL", "UNION ALL", "UNION", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"]
        )
        count = self.rng.choice([1, 2])
        wanted = [
            self.rng.choice([BIGINT, INT, STRING, BOOL, DATE, TIMESTAMP, types.decimal(10, 2)]) for _ in range(count)
        ]
        sides = [self.select(depth, wanted) for _ in range(self.rng.choice([2, 2, 3]))]
        if self.rng.random() < 0.3:
            sides[-1] = self.select(depth, [self.rng.choice(ALIKE.get(type, (type,))) for type in wanted])
        if not all(column.exact for side in sides for column in side.columns):
            return sides[0]
        node = query(seq([text("(", side.node, ")") for side in sides], f" {word} "))
        columns = [dataclasses.replace(column, tame=False, size=None) for column in sides[0].columns]
        keys = [column.name for column in columns] if not word.endswith("ALL") else None
        return Built(node, columns, keys, sum(side.rows for side in sides))

    def distinct_on(self, depth, top=False):
        source = self.from_(depth)
        column = next(
            (c for c in self.rng.sample(source.columns, len(source.columns)) if c.type.sortable and c.exact), None
        )
        if source.keys is None or column is None:
            return self.select(depth)
        maker = Expressions(self.rng, self.known, source.columns, 1)
        value = maker.any()
        direction = self.rng.choice(["", " DESC"])
        order = ", ".join([column.name] + [key + direction for key in source.keys])
        items = seq([text(column.node(), " AS c0"), text(value, " AS c1")])
        node = query(
            "SELECT DISTINCT ON (",
            column.node(),
            ") ",
            items,
            " FROM ",
            source.node,
            self.where(source, depth),
            f" ORDER BY {order}",
        )
        wrapped = node if top else query("SELECT * FROM (", node, f") AS d{self.alias()}")
        columns = [Column("c0", column.type, False), Column("c1", value.type, False, value.exact)]
        return Built(wrapped, columns, ["c0"], source.rows, ordered=top)

    def recursive(self):
        """A recursive CTE: a counter, or a walk along a table."""
        limit = self.rng.choice([3, 10, 50])
        step = self.rng.choice([1, 2, 3])
        base = f"SELECT CAST({step} AS BIGINT) AS n, CAST('a' AS VARCHAR) AS s"
        word = self.rng.choice(["UNION ALL", "UNION ALL", "UNION"])
        body = f"SELECT n + {step}, s || 'b' FROM r WHERE n < {limit}"
        if self.rng.random() < 0.5:
            source = self.base(small=True)
            alias = source.node.parts[0].split(" AS ")[1]
            body = f"SELECT {alias}.c0, s || 'c' FROM r JOIN {source.node.parts[0]} ON {alias}.c0 = r.n + {step} WHERE n < {limit}"
        outer = self.rng.choice(["SELECT n AS c0, s AS c1 FROM r", "SELECT count(*) AS c0, sum(n) AS c1 FROM r"])
        node = query(f"WITH RECURSIVE r AS ({base} {word} {body}) ", outer)
        return Built(node, [Column("c0", BIGINT), Column("c1", STRING)], None, 50)


def str_of(node):
    return render(node, OURS)


__all__ = ["Built", "Statements", "DOUBLE"]
