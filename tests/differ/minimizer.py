"""Makes a statement that shows a difference smaller: drops clauses, columns, joins, operands, then rows."""

import time

from .tree import NOTHING, OURS, Alt, expr, render, replaced, size_of, walk

SIMPLE = {
    "bool": "TRUE",
    "int": "1",
    "str": "'a'",
    "date": "DATE '2024-01-01'",
    "ts": Alt("TIMESTAMP '2024-01-01 00:00:00'", "TIMESTAMPTZ '2024-01-01 00:00:00'"),
}


def smaller(node):
    """What may stand in place of a node, the most drastic first."""
    if node.kind == "opt" and node.parts:
        yield NOTHING
    if node.kind == "seq":
        count = len(node.parts)
        if count > max(3, node.least + 1):
            half = count // 2
            for parts in (node.parts[:half], node.parts[half:]):
                if len(parts) >= node.least:
                    yield node.with_parts(parts)
        if count > node.least:
            for index in range(count):
                yield node.with_parts(node.parts[:index] + node.parts[index + 1 :])
    if node.kind in ("query", "source"):
        for path, inner in walk(node):
            if path and inner.kind == node.kind:
                yield inner
    if node.kind == "expr" and node.type is not None:
        family = node.type.family
        if family in SIMPLE and node.parts != (SIMPLE[family],):
            yield expr(node.type, SIMPLE[family])
        for path, inner in walk(node):
            if path and inner.kind == "expr" and inner.type is not None and inner.type.family == family:
                yield inner


def minimize(root, fails, seconds, trials=4000):
    """The smallest tree found for which `fails` still holds."""
    end = time.monotonic() + seconds
    seen = {render(root, OURS)}
    changed = True
    while changed:
        changed = False
        for path, node in list(walk(root)):
            for candidate in smaller(node):
                new = replaced(root, path, candidate)
                sql = render(new, OURS)
                if sql in seen or size_of(new) >= size_of(root):
                    continue
                seen.add(sql)
                if time.monotonic() > end or len(seen) > trials:
                    return root
                if fails(new):
                    root, changed = new, True
                    break
            if changed:
                break
    return root


def fewer(rows, fails, seconds):
    """The fewest rows found for which `fails` still holds (delta debugging)."""
    end = time.monotonic() + seconds
    parts = 2
    while len(rows) >= 1 and time.monotonic() < end:
        size = max(1, -(-len(rows) // parts))
        for start in range(0, len(rows), size):
            rest = rows[:start] + rows[start + size :]
            if time.monotonic() > end:
                return rows
            if fails(rest):
                rows, parts = rest, max(2, parts - 1)
                break
        else:
            if size == 1:
                return rows
            parts = min(len(rows), parts * 2)
    return rows
