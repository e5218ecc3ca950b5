"""Subqueries within expressions."""

from .expressions import Expressions
from .tree import expr, opt, seq
from .types import BIGINT, BOOL


class Subqueries:
    """Makes subqueries within expressions. `place` is where they stand: "where" or "select"."""

    def __init__(self, statements, place, depth):
        self.statements, self.place, self.depth = statements, place, depth

    def predicate(self, maker, depth):
        s, rng, known = self.statements, maker.rng, maker.known
        inner = s.base(small=True)
        where = self.where(maker, inner)
        inside = Expressions(rng, known, inner.columns, depth=1)
        kind = rng.random()
        if kind < 0.35:
            word = rng.choice(["EXISTS ", "NOT EXISTS "])
            return expr(BOOL, f"({word}(SELECT 1 FROM ", inner.node, where, "))")
        if kind < 0.6:
            column = maker.column(lambda column: column.type.sortable and column.exact)
            found = column and [c for c in inner.columns if c.type == column.type]
            if found:
                word = rng.choice(["IN", "IN", "NOT IN"])
                return expr(
                    BOOL,
                    "(",
                    column.node(),
                    f" {word} (SELECT ",
                    rng.choice(found).node(),
                    " FROM ",
                    inner.node,
                    where,
                    "))",
                )
        if kind < 0.68:
            found = self.row_in(maker, inner)
            if found:
                return found
        type = inside.any_type(sortable=True)
        if type.family in ("bin", "bool"):
            type = BIGINT
        left = maker.of(type, depth)
        sign = rng.choice(["=", "<", ">=", "<>"])
        if rng.random() < 0.2 and left.exact:
            value = inside.of(type)
            if value.exact:
                word = rng.choice(["ANY", "ALL"])
                return expr(BOOL, "(", left, f" {sign} {word} (SELECT ", value, " FROM ", inner.node, where, "))")
        aggregate = rng.choice(["max", "min"])
        return expr(
            BOOL, "(", left, f" {sign} (SELECT {aggregate}(", inside.of(type), ") FROM ", inner.node, where, "))"
        )

    def row_in(self, maker, inner):
        """Two columns that are IN the rows of a subquery; None if it has no such columns."""
        # DuckDB runs no correlated ones.
        where = opt(" WHERE ", Expressions(maker.rng, maker.known, inner.columns, depth=1).about_rows())
        left = [column for column in maker.columns if column.type.sortable and column.exact]
        chosen = maker.rng.sample(left, min(2, len(left)))
        right = [[c for c in inner.columns if c.type == column.type] for column in chosen]
        if len(chosen) < 2 or not all(right):
            return None
        names = ", ".join(column.name for column in chosen)
        found = ", ".join(maker.rng.choice(columns).name for columns in right)
        word = maker.rng.choice(["IN", "NOT IN"])
        return expr(BOOL, f"(({names}) {word} (SELECT {found} FROM ", inner.node, where, "))")

    def scalar(self, maker, type):
        """A subquery of one column and at most one row; None if there is none of a type."""
        s, rng = self.statements, maker.rng
        inner = s.base(small=True)
        inside = Expressions(rng, maker.known, inner.columns, depth=1)
        where = self.where(maker, inner)
        kind = rng.random()
        if type == BIGINT and kind < 0.4:
            return expr(BIGINT, "(SELECT count(*) FROM ", inner.node, where, ")")
        if kind < 0.6 and type.sortable and type.family not in ("bin", "bool"):
            name = rng.choice(["max", "min"])
            return expr(type, f"(SELECT {name}(", inside.of(type), ") FROM ", inner.node, where, ")")
        if inner.keys is None:
            return None
        order = f" ORDER BY {', '.join(inner.keys)}{rng.choice(['', ' DESC'])} LIMIT 1"
        return expr(type, "(SELECT ", inside.of(type), " FROM ", inner.node, where, opt(order), ")")

    def where(self, maker, inner):
        """WHERE of a subquery, which often names columns outside of it."""
        rng = maker.rng
        inside = Expressions(rng, maker.known, inner.columns, depth=1)
        parts = [inside.about_rows()] if rng.random() < 0.5 else []
        pairs = [
            (a, b) for a in maker.columns for b in inner.columns if a.type == b.type and a.type.sortable and a.exact
        ]
        if pairs and rng.random() < 0.6:
            a, b = rng.choice(pairs)
            parts.append(expr(BOOL, "(", a.node(), " = ", b.node(), ")"))
            if rng.random() < 0.2:
                a, b = rng.choice(pairs)
                parts.append(expr(BOOL, "(", a.node(), rng.choice([" < ", " <> ", " >= "]), b.node(), ")"))
        rng.shuffle(parts)
        return opt(" WHERE ", seq(parts, " AND ")) if parts else ""
