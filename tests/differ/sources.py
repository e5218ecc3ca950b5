"""What stands in FROM: tables, subqueries, CTEs, VALUES, series, unnested arrays, and joins of these."""

import dataclasses

from . import types
from .expressions import Column, Expressions
from .tree import Alt, Node, expr, opt, query, seq, text
from .types import BIGINT, BOOL, DOUBLE, STRING
from .values import literal


@dataclasses.dataclass
class Source:
    """A part of FROM. `keys` are columns whose values together differ in all rows; None if there are none."""

    node: Node
    columns: list
    keys: list
    rows: int
    outer: bool = False


def table_columns(table, alias):
    found = []
    for field in table.fields:
        size = field.domain + 10 if field.tame and field.type.family == "int" else None
        if field.name == "rid":
            size = 10**6
        found.append(Column(f"{alias}.{field.name}", field.type, field.tame, True, size))
    return found


class Sources:
    """The part of Statements that makes FROM."""

    def alias(self):
        self.aliases += 1
        return f"t{self.aliases}"

    def base(self, small=False):
        """A table."""
        tables = [table for table in self.tables if len(table.rows) <= 40 or not small] or self.tables
        table = self.rng.choice(tables)
        self.used.add(table.name)
        alias = self.alias()
        node = Node("source", [f"{table.name} AS {alias}"])
        return Source(node, table_columns(table, alias), [f"{alias}.rid"] if table.numbered else None, len(table.rows))

    def item(self, depth, small=False):
        kind = self.rng.random()
        if self.ctes and kind < 0.4:
            return self.of_cte()
        if depth > 0 and kind < 0.55:
            return self.derived(depth - 1)
        if kind < 0.59:
            return self.values()
        if kind < 0.6:
            return self.series()
        return self.base(small)

    def of_cte(self):
        name, built = self.rng.choice(self.ctes)
        alias = self.alias()
        columns = [dataclasses.replace(column, name=f"{alias}.{column.name}") for column in built.columns]
        keys = None if built.keys is None else [f"{alias}.{key}" for key in built.keys]
        return Source(Node("source", [f"{name} AS {alias}"]), columns, keys, built.rows)

    def derived(self, depth):
        built = self.first(self.query(depth))
        alias = self.alias()
        columns = [dataclasses.replace(column, name=f"{alias}.{column.name}") for column in built.columns]
        keys = None if built.keys is None else [f"{alias}.{key}" for key in built.keys]
        return Source(Node("source", ["(", built.node, f") AS {alias}"]), columns, keys, built.rows)

    def first(self, built):
        """A query, or now and then its first rows only."""
        kinds = {column.name: column for column in built.columns}
        total = built.keys and all(kinds[key].type.sortable and kinds[key].exact for key in built.keys)
        if not total or self.rng.random() < 0.8:
            return built
        names = [column.name for column in built.columns if column.type.sortable and column.exact]
        words = ["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]
        order = [name + self.rng.choice(words) for name in dict.fromkeys([self.rng.choice(names), *built.keys])]
        limit = self.rng.choice(["1", "3", "10", "5 OFFSET 2"])
        alias = self.alias()
        node = query("SELECT * FROM (", built.node, f") AS {alias} ORDER BY {', '.join(order)} LIMIT {limit}")
        return dataclasses.replace(built, node=node, rows=min(built.rows, 10))

    def values(self):
        alias = self.alias()
        kinds = [BIGINT] + [self.rng.choice([BIGINT, STRING, DOUBLE, types.DATE, BOOL]) for _ in range(2)]
        maker = Expressions(self.rng, self.known, [])
        rows = []
        for number in range(self.rng.choice([1, 2, 4])):
            # The first row decides the types, so that it has no NULL.
            items = [literal(BIGINT, number, self.known)]
            items += [maker.literal(type, 0 if number == 0 else 0.2) for type in kinds[1:]]
            rows.append(text("(", seq(items, least=3), ")"))
        node = Node("source", ["(VALUES ", seq(rows), f") AS {alias}(v0, v1, v2)"])
        columns = [Column(f"{alias}.v{number}", type, True) for number, type in enumerate(kinds)]
        return Source(node, columns, [f"{alias}.v0"], len(rows))

    def series(self):
        """Numbers that a function gives."""
        alias = self.alias()
        first, count, step = self.rng.choice([0, 1, -3]), self.rng.choice([0, 1, 5, 20]), self.rng.choice([1, 2, 7])
        node = Node("source", [f"generate_series({first}, {first + count * step}, {step}) AS {alias}(v0)"])
        return Source(node, [Column(f"{alias}.v0", BIGINT, True, True, 200)], [f"{alias}.v0"], count + 1)

    def from_(self, depth, outer_columns=()):
        """One source, or several that are joined."""
        kind = self.rng.random()
        if kind < 0.05:
            return self.using()
        if kind < 0.07:
            return self.natural()
        source = self.item(depth)
        for _ in range(self.rng.choice([0, 0, 0, 1, 1, 2])):
            source = self.joined(source, depth)
        if self.rng.random() < 0.06:
            source = self.lateral(source)
        arrays = [column for column in source.columns if column.type.family == "list"]
        if arrays and self.rng.random() < 0.25 and not source.outer:
            source = self.unnested(source, self.rng.choice(arrays))
        return source

    def joined(self, left, depth):
        right = self.item(depth, small=left.rows > 200)
        equalities = [
            (a, b)
            for a in left.columns
            for b in right.columns
            if a.type == b.type
            and a.type.sortable
            and a.exact
            and b.exact
            and (a.tame and b.tame or a.type.family == "str")
        ]
        small = left.rows * right.rows <= 20000
        words = ["JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN", "SEMI", "ANTI"]
        kind = self.rng.choice(words)
        if kind == "CROSS JOIN" and not small or not equalities and not small:
            kind = "JOIN"
            right = self.one_row()
            equalities = []
        if kind == "CROSS JOIN" or not equalities and self.rng.random() < 0.3:
            condition, kind, rows = None, "CROSS JOIN", left.rows * right.rows
        else:
            condition, rows = self.join_condition(left, right, equalities, small)
        if kind in ("SEMI", "ANTI"):
            word = Alt(f" LEFT {kind} JOIN ", f" {kind} JOIN ")
            node = Node("source", [left.node, word, right.node, " ON ", condition])
            return dataclasses.replace(left, node=node)
        parts = [left.node, f" {kind} ", right.node] + ([" ON ", condition] if condition else [])
        keys = None if left.keys is None or right.keys is None else left.keys + right.keys
        outer = left.outer or kind in ("RIGHT JOIN", "FULL JOIN")
        return Source(Node("source", parts), left.columns + right.columns, keys, rows, outer)

    def using(self):
        """Two tables joined by their columns c0, which are one column then."""
        left = self.base()
        right = self.base(small=left.rows > 200)
        kind = self.rng.choice(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
        node = Node("source", [left.node, f" {kind} ", right.node, " USING (c0)"])
        columns = [column for column in left.columns + right.columns if not column.name.endswith(".c0")]
        columns.append(Column("c0", BIGINT, True))
        keys = None if left.keys is None or right.keys is None else left.keys + right.keys
        return Source(node, columns, keys, max(left.rows, right.rows) * 3, kind in ("RIGHT JOIN", "FULL JOIN"))

    def natural(self):
        """Two subqueries that share one or two names of columns, joined by these."""
        sides, shared = [], self.rng.choice([1, 2])
        for number in range(2):
            inner = self.base(small=number == 1)
            columns = [next(c for c in inner.columns if c.name.endswith(".c0"))]
            columns += [c for c in inner.columns if c.name.endswith(".rid")][: shared - 1]
            other = self.rng.choice(inner.columns)
            alias = self.alias()
            names = [f"k{n}" for n in range(len(columns))]
            items = ", ".join(
                [f"{c.name} AS {name}" for c, name in zip(columns, names)] + [f"{other.name} AS x{alias}"]
            )
            node = Node("source", [f"(SELECT {items} FROM ", inner.node, f") AS {alias}"])
            sides.append((node, names, dataclasses.replace(other, name=f"{alias}.x{alias}"), len(inner.columns)))
        kind = self.rng.choice(["NATURAL JOIN", "NATURAL LEFT JOIN", "NATURAL FULL JOIN"])
        node = Node("source", [sides[0][0], f" {kind} ", sides[1][0]])
        both = [name for name in sides[0][1] if name in sides[1][1]]
        columns = [Column(name, BIGINT, True) for name in both] + [sides[0][2], sides[1][2]]
        return Source(node, columns, None, 1000, "FULL" in kind)

    def one_row(self):
        alias = self.alias()
        node = Node("source", [f"(VALUES (1, 'a')) AS {alias}(v0, v1)"])
        return Source(
            node, [Column(f"{alias}.v0", BIGINT, True, True, 1), Column(f"{alias}.v1", STRING)], [f"{alias}.v0"], 1
        )

    def join_condition(self, left, right, equalities, small):
        """ON: equalities, and sometimes more."""
        parts = []
        for a, b in self.rng.sample(equalities, min(len(equalities), self.rng.choice([1, 1, 2]))):
            sign = "IS NOT DISTINCT FROM" if self.rng.random() < 0.1 else "="
            parts.append(expr(BOOL, "(", a.node(), f" {sign} ", b.node(), ")"))
        if not parts or self.rng.random() < 0.35:
            maker = Expressions(self.rng, self.known, left.columns + right.columns, depth=2)
            parts.append(maker.about_rows())
        rows = max(left.rows, right.rows) * 3 if equalities else left.rows * right.rows
        return seq(parts, " AND "), rows

    def lateral(self, left):
        """A subquery that sees the columns on its left."""
        inner = self.base(small=left.rows > 100)
        pairs = [
            (a, b)
            for a in left.columns
            for b in inner.columns
            if a.type == b.type and a.tame and b.tame and a.type.sortable
        ]
        if not pairs:
            return left
        a, b = self.rng.choice(pairs)
        alias = self.alias()
        maker = Expressions(self.rng, self.known, inner.columns, depth=1)
        value_type = maker.any_type(sortable=True)
        value = maker.of(value_type)
        correlated = expr(BOOL, "(", a.node(), " = ", b.node(), ")")
        if inner.keys is None:
            return left
        rid = inner.keys[0]
        if self.rng.random() < 0.5:
            body = ["(SELECT max(", value, ") AS x0, count(*) AS x1 FROM ", inner.node, " WHERE ", correlated, ")"]
            keys, rows = left.keys, left.rows
        else:
            limit = opt(f" ORDER BY {rid} LIMIT {self.rng.choice([1, 2])}") if self.rng.random() < 0.5 else ""
            body = ["(SELECT ", value, f" AS x0, {rid} AS x1 FROM ", inner.node, " WHERE ", correlated, limit, ")"]
            keys, rows = None if left.keys is None else left.keys + [f"{alias}.x1"], left.rows * 3
        join, tail = self.rng.choice([(" CROSS JOIN LATERAL ", ""), (" LEFT JOIN LATERAL ", " ON TRUE")])
        node = Node("source", [left.node, join, *body, f" AS {alias}{tail}"])
        columns = left.columns + [Column(f"{alias}.x0", value_type, False, value.exact), Column(f"{alias}.x1", BIGINT)]
        return Source(node, columns, keys, rows, left.outer)

    def unnested(self, left, column):
        alias = self.alias()
        node = Node("source", [left.node, " CROSS JOIN UNNEST(", column.node(), f") AS {alias}(x0)"])
        columns = left.columns + [Column(f"{alias}.x0", column.type.item, column.tame)]
        return Source(node, columns, None, left.rows * 3, left.outer)
