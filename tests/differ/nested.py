"""Functions of arrays, structs and JSON."""

from .tree import Alt, expr, seq
from .types import BIGINT, BOOL, JSON, STRING

# Elements that an array shows in text as DuckDB does.
SHOWN = ("int", "str", "bool")


class Nested:
    """The part of Expressions that knows nested types; `self` is an Expressions."""

    # Arrays

    def make_list(self, type, depth):
        if self.chance(0.5):
            return self.leaf(type)
        value, item = self.of(type, depth), type.item
        kind = self.rng.randrange(8)
        if kind == 0:
            return expr(type, Alt("array_append(", "list_append("), value, ", ", self.item(item), ")")
        if kind == 1:
            return expr(type, Alt("array_prepend(", "list_prepend("), self.item(item), ", ", value, ")")
        if kind == 2:
            return expr(type, Alt("array_concat(", "list_concat("), value, ", ", self.array_of(type, 0), ")")
        if kind == 3:
            bounds = self.rng.choice(["1, 2", "2, 3", "-2, -1", "2, 9"])
            return expr(type, "array_slice(", value, f", {bounds})")
        if kind == 4:
            return expr(type, Alt("array_reverse(", "list_reverse("), value, ")")
        if kind == 5:
            return expr(type, Alt("array_sort(", "list_sort("), value, Alt(")", ", 'ASC', 'NULLS LAST')"))
        if kind == 6:
            sign = self.rng.choice([">", "<=", "<>", "IS DISTINCT FROM"])
            return self.filtered(type, value, f" {sign} ", self.item(item))
        return self.array_of(type, depth)

    def filtered(self, type, value, sign, bound):
        name = f"e{self.rng.randrange(100)}"
        return expr(
            type, "list_filter(", value, Alt(f", {name} -> {name}", f", lambda {name}: {name}"), sign, bound, ")"
        )

    def array_of(self, type, depth):
        """ARRAY[…] of elements, whose types may be narrower."""
        items = seq([self.item(type.item) for _ in range(self.rng.choice([1, 2, 3]))])
        return expr(
            type, Alt("CAST(ARRAY[", "CAST(["), items, Alt(f"] AS {type.item.ours}[])", f"] AS {type.item.duck}[])")
        )

    def item(self, type):
        """What may be an element of an array of a type."""
        return self.of(type, 0)

    def about_array(self, depth):
        """A predicate about an array in scope, or None."""
        column = self.column(lambda column: column.type.family == "list")
        if column is None:
            return None
        value = self.of(column.type, depth)
        kind = self.rng.randrange(6)
        if kind < 2:
            return expr(BOOL, Alt("array_has(", "list_contains("), value, ", ", self.item(column.type.item), ")")
        if kind < 4:
            name = self.rng.choice(["any", "all"])
            return expr(
                BOOL, Alt(f"array_has_{name}(", f"list_has_{name}("), value, ", ", self.array_of(column.type, 0), ")"
            )
        sign = self.rng.choice(["=", "<>", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"])
        return expr(BOOL, "(", value, f" {sign} ", self.of(column.type, 0), ")")

    def integer_of_array(self, depth):
        """The parts of an integer that an array gives, or None."""
        column = self.column(lambda column: column.type.family == "list")
        if column is None:
            return None
        value = self.of(column.type, depth)
        if self.chance(0.6):
            return [Alt("cardinality(", "len("), value, ")"]
        return [Alt("array_position(", "list_position("), value, ", ", self.item(column.type.item), ")"]

    def text_of_array(self, depth):
        """The elements of an array as one text, or None."""
        column = self.column(lambda column: column.type.family == "list" and column.type.item.family in SHOWN)
        if column is None:
            return None
        return expr(STRING, "array_to_string(", self.of(column.type, depth), ", '|')")

    # Structs

    def make_struct(self, type, depth):
        if self.chance(0.6):
            return self.leaf(type)
        values = [self.of(field, depth) for _, field in type.fields]
        parts = []
        for number, ((name, field), value) in enumerate(zip(type.fields, values)):
            comma = ", " if number else ""
            parts += [
                Alt(f"{comma}'{name}', CAST(", f"{comma}{name} := CAST("),
                value,
                Alt(f" AS {field.ours})", f" AS {field.duck})"),
            ]
        return expr(type, Alt("named_struct(", "struct_pack("), *parts, ")")

    def element(self, type):
        """An element of an array or a field of a struct in scope that has a type, or None."""

        def has(column):
            if column.type.family == "list":
                return column.type.item == type
            return column.type.family == "struct" and any(field == type for _, field in column.type.fields)

        column = self.column(has)
        if column is None:
            return None
        if column.type.family == "list":
            return expr(type, column.node(), f"[{self.rng.choice([1, 1, 2, -1, 7])}]")
        name = self.rng.choice([name for name, field in column.type.fields if field == type])
        return expr(type, column.node(), f"['{name}']")

    def item_of_array(self):
        """An element or a field of a nested column, or None."""
        column = self.column(lambda column: column.type.family in ("list", "struct"))
        if column is None:
            return None
        if column.type.family == "list":
            return self.element(column.type.item)
        return self.element(self.rng.choice(column.type.fields)[1])

    # JSON

    def text_of_json(self):
        """A member of a document as text, or None."""
        column = self.column(lambda column: column.type == JSON)
        if column is None:
            return None
        path = self.rng.choice(["->>'a'", "->>'b'", "->>'none'", "->'l'->>0", "->'o'->>'x'", "->'l'->>-1"])
        return expr(STRING, "(", column.node(), f"{path})")

    def integer_of_json(self):
        """The parts of an integer that a document gives, or None."""
        column = self.column(lambda column: column.type == JSON)
        if column is None:
            return None
        if self.chance(0.5):
            return ["json_array_length((", column.node(), "->'l'))"]
        name = self.rng.choice(["a", "b"])
        ours = Alt("json_get_int(", "CAST(CASE WHEN json_type(")
        rest = Alt(f", '{name}')", f", '$.{name}') IN ('BIGINT', 'UBIGINT') THEN ")
        tail = expr(BIGINT, column.node(), f"->>'{name}' END AS BIGINT)")
        return [ours, column.node(), rest, Alt("", tail)]

    def about_json(self):
        """A predicate about a document, or None."""
        column = self.column(lambda column: column.type == JSON)
        if column is None:
            return None
        name = self.rng.choice(["a", "b", "l", "none"])
        return expr(BOOL, Alt("(", "json_exists("), column.node(), Alt(f" ? '{name}')", f", '$.{name}')"))
