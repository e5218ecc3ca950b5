"""Statements as trees: a node renders itself for both engines, and the minimizer can take parts out of it."""

OURS, DUCK = "ours", "duck"


class Alt:
    """SQL text that differs between the two engines."""

    __slots__ = ("ours", "duck")

    def __init__(self, ours, duck):
        self.ours, self.duck = ours, duck


class Node:
    """A part of a statement.

    kind: "expr" has a value of `type`; "query" is a whole SELECT; "seq" joins its parts by `sep` and keeps at least
    `least` of them; "opt" may be left out; "text" is anything else.
    exact: whether both engines compute exactly the same value, as they do not for a float that was rounded.
    size: for numbers, a bound of the absolute value, so that a generator can avoid overflow.
    """

    __slots__ = ("kind", "parts", "type", "sep", "least", "exact", "size", "value")

    def __init__(self, kind, parts, type=None, sep="", least=0, exact=True, size=None, value=None):
        self.kind, self.parts, self.type = kind, tuple(parts), type
        self.sep, self.least, self.exact, self.size, self.value = sep, least, exact, size, value

    def with_parts(self, parts):
        return Node(self.kind, parts, self.type, self.sep, self.least, self.exact, self.size, self.value)


def expr(type, *parts, exact=None, size=None, value=None):
    """An expression. Unless `exact` says so, it is exact if all parts are."""
    if exact is None:
        exact = all(part.exact for part in parts if isinstance(part, Node))
    return Node("expr", parts, type, exact=exact, size=size, value=value)


def text(*parts):
    return Node("text", parts, exact=all(part.exact for part in parts if isinstance(part, Node)))


def seq(parts, sep=", ", least=1):
    return Node("seq", parts, sep=sep, least=least, exact=all(part.exact for part in parts if isinstance(part, Node)))


def opt(*parts):
    return Node("opt", parts)


def query(*parts):
    return Node("query", parts)


NOTHING = text()


def render(node, dialect, parameters=None):
    """The SQL text of a node. With a list of parameters, nodes of kind "param" become `?` and append their node."""
    if isinstance(node, str):
        return node
    if isinstance(node, Alt):
        return render(node.ours if dialect == OURS else node.duck, dialect, parameters)
    if node.kind == "param" and dialect == OURS and parameters is not None:
        parameters.append(node)
        return "?"
    return node.sep.join(render(part, dialect, parameters) for part in node.parts)


def walk(node, path=()):
    """All nodes with their paths, from the root."""
    if isinstance(node, Node):
        yield path, node
        for index, part in enumerate(node.parts):
            if isinstance(part, Node):
                yield from walk(part, path + (index,))


def replaced(root, path, new):
    """The tree with another node at a path."""
    if not path:
        return new
    parts = list(root.parts)
    parts[path[0]] = replaced(parts[path[0]], path[1:], new)
    return root.with_parts(parts)


def size_of(node):
    """How large a tree is, for the minimizer: smaller is simpler."""
    return len(render(node, OURS))
