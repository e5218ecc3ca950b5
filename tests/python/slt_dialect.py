"""DataFusion's statements in Watershed's words, for what only sets a test up. Every rewrite is tried after the
statement as it was written was refused, so that none hides what the engine learns."""

import re

# What has no type of its own gets one that has all its values.
TYPES = [
    (r"(?:TINYINT|SMALLINT) UNSIGNED", "INT"),
    (r"(?:INT|INTEGER) UNSIGNED", "BIGINT"),
    (r"BIGINT UNSIGNED", "DECIMAL(20, 0)"),
    (r"(?:VARCHAR|CHAR|CHARACTER VARYING)(?:\s*\(\s*\d+\s*\))?|TEXT", "STRING"),
    (r"TIMESTAMP\s*\(\s*\d+\s*\)|TIMESTAMPTZ|TIMESTAMP WITH(?:OUT)? TIME ZONE|DATETIME", "TIMESTAMP"),
    (r"REAL|FLOAT4", "FLOAT"),
    (r"DOUBLE PRECISION|FLOAT8", "DOUBLE"),
    (r"INT2", "SMALLINT"),
    (r"INT4", "INT"),
    (r"INT8", "BIGINT"),
    (r"BYTEA|BLOB|VARBINARY", "BINARY"),
]


def rewritten(sql):
    """The statement in other words; None if there are none."""
    head = re.match(
        r"(?is)\s*CREATE\s+(?P<or>OR\s+REPLACE\s+)?(?P<kind>(?:UNBOUNDED\s+)?EXTERNAL\s+TABLE|"
        r"(?:TEMP(?:ORARY)?\s+)?TABLE)\s+"
        r"(?P<ine>IF\s+NOT\s+EXISTS\s+)?(?P<name>[\w.\"]+)\s*(?P<rest>.*)$",
        sql.rstrip().rstrip(";"),
    )
    if not head:
        return None
    columns, rest = definition(head["rest"])
    before = "CREATE " + (head["or"] or "")
    names = [(name, kind) for name, kind in columns]
    if "EXTERNAL" in head["kind"].upper():
        listed = "(" + ", ".join(f"{name} {kind}" for name, kind in names) + ") " if names else ""
        return f"{before}EXTERNAL TABLE {head['ine'] or ''}{head['name']} {listed}{external(rest)}"
    if query := re.match(r"(?is)\s*AS\s+(.*)$", rest):
        source = query[1]
        if names:
            casts = ", ".join(f"CAST(q{n} AS {kind}) AS {name}" for n, (name, kind) in enumerate(names))
            aliases = ", ".join(f"q{n}" for n in range(len(names)))
            source = f"SELECT {casts} FROM ({source}) AS q({aliases})"
        return f"{before}TABLE {head['ine'] or ''}{head['name']} AS {source}"
    listed = ", ".join(f"{name} {kind}" for name, kind in names)
    return f"{before}TABLE {head['ine'] or ''}{head['name']} ({listed})"


def definition(rest):
    """Columns, as names and types, and what follows them."""
    if not rest.startswith("("):
        return [], rest
    depth, start, columns = 0, 1, []
    for at, character in enumerate(rest):
        depth += (character in "(<") - (character in ")>")
        if (character == "," and depth == 1) or depth == 0:
            columns.append(rest[start:at].strip())
            start = at + 1
        if depth == 0:
            break
    constraint = re.compile(r"(?i)(PRIMARY|UNIQUE|FOREIGN|CONSTRAINT)\b")
    return [column(text) for text in columns if text and not constraint.match(text)], rest[start:]


def column(text):
    name, _, kind = text.partition('" ' if text.startswith('"') else " ")
    if text.startswith('"'):
        name += '"'
    kind = re.sub(r"(?is)\b(NOT\s+NULL|NULL|PRIMARY\s+KEY|UNIQUE|DEFAULT\s+.*)$", "", kind.strip()).strip()
    kind = re.sub(r"(?is)\b(NOT\s+NULL|PRIMARY\s+KEY|UNIQUE|DEFAULT\s+.*)$", "", kind).strip()
    for pattern, other in TYPES:
        kind = re.sub(rf"(?i)\b(?:{pattern})(?!\w)", other, kind)
    while array := re.match(r"(.*)\[\d*\]$", kind):
        kind = f"ARRAY<{array[1]}>"
    return name, kind


def external(rest):
    """Orders and limits that only the planner would use go; options lose the prefix of their group."""
    rest = re.sub(r"(?is)\bWITH\s+ORDER\s*\((?:[^()]|\([^()]*\))*\)", "", rest)
    return re.sub(r"'format\.(\w+)'", r"'\1'", rest)
