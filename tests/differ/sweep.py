"""A systematic sweep: every operator and function over every type it takes, on values at the edges of the types.

Random statements combine; this goes through the pieces one by one. Expressions run in batches, and one by one where a
batch differs.
"""

import datetime
import decimal
import itertools
import math
import random

from . import types
from .comparison import difference
from .engines import Failure
from .schemas import Field, Table, layout
from .statements import Built
from .tree import Alt, OURS, query, render, seq, text
from .values import UTC

BATCH = 24
# Expressions run on executors; where one differs, the other paths run it too.
PATH = "pipelined"
D = decimal.Decimal
MOMENT = datetime.datetime

EDGES = [
    ("b", types.BOOL, [True, False]),
    ("i8", types.TINYINT, [0, 1, -1, 127, -128, 7]),
    ("i16", types.SMALLINT, [0, 1, -1, 32767, -32768, 7]),
    ("i32", types.INT, [0, 1, -1, 2147483647, -2147483648, 7]),
    ("i64", types.BIGINT, [0, 1, -1, 9223372036854775807, -9223372036854775808, 9007199254740993]),
    ("n", types.BIGINT, [0, 1, -1, 2, 3, 12]),
    ("f32", types.FLOAT, [0.0, 1.5, -1.5, 2.5, 16777216.0, 0.1]),
    ("f64", types.DOUBLE, [0.0, 1.5, -1.5, 2.5, 1e300, 0.1, 9007199254740992.0]),
    ("inf", types.DOUBLE, [0.0, math.inf, -math.inf, 1.0]),
    ("nan", types.DOUBLE, [0.0, math.nan, -0.0, 1.0, math.inf]),
    ("d9", types.decimal(9, 2), [D("0.00"), D("1.25"), D("-1.25"), D("9999999.99"), D("2.50"), D("-0.01")]),
    ("d18", types.decimal(18, 4), [D("0.0000"), D("1.2500"), D("-1.5000"), D("99999999999999.9999"), D("2.5000")]),
    (
        "d38",
        types.decimal(38, 10),
        [D("0E-10"), D("1.2500000000"), D("-0.0000000001"), D("9999999999999999999999999999.9999999999")],
    ),
    (
        "s",
        types.STRING,
        ["", "a", "Abc", "ä", "日本", "a b", "12", "-3", " 7 ", "1.5", "true", "2024-01-31", "a%b", "e\u0301"],
    ),
    ("x", types.BINARY, [b"", b"a", b"\x00", b"\xff\x00", b"abc"]),
    (
        "d",
        types.DATE,
        [
            datetime.date(1970, 1, 1),
            datetime.date(2024, 2, 29),
            datetime.date(1969, 12, 31),
            datetime.date(2023, 12, 31),
            datetime.date(1, 1, 1),
            datetime.date(9999, 12, 31),
        ],
    ),
    (
        "t",
        types.TIMESTAMP,
        [
            MOMENT(1970, 1, 1, tzinfo=UTC),
            MOMENT(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC),
            MOMENT(1969, 12, 31, 23, 59, 59, 500000, tzinfo=UTC),
            MOMENT(2023, 12, 31, 12, 30, tzinfo=UTC),
            MOMENT(1, 1, 1, tzinfo=UTC),
            MOMENT(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        ],
    ),
    ("l", types.array(types.BIGINT), [[], [1], [1, None, 3], [None], [3, 1, 2]]),
    ("ls", types.array(types.STRING), [[], ["a"], ["b", None, "a"], [""]]),
    ("st", types.struct([("a", types.BIGINT), ("b", types.STRING)]), [{"a": 1, "b": "x"}, {"a": None, "b": ""}]),
]
ROWS = 14
NUMBERS = ["i8", "i16", "i32", "i64", "n", "f32", "f64", "inf", "nan", "d9", "d18", "d38"]
SORTABLE = ["b", *NUMBERS, "s", "x", "d", "t"]
ALL = [name for name, _, _ in EDGES]
TYPES = {name: type for name, type, _ in EDGES}


def edges(name="edges"):
    """The table of edges: each column runs through its values, the last row is NULL."""
    fields = [Field("rid", types.BIGINT, True, 100, 0)]
    fields += [Field(column, type, False, 100, 0.1) for column, type, _ in EDGES]
    rows = [
        [
            number,
            *[
                values[number % (len(values) + 1)] if number % (len(values) + 1) < len(values) else None
                for _, _, values in EDGES
            ],
        ]
        for number in range(ROWS)
    ]
    return Table(name, "plain", fields, rows)


def casts():
    """Every scalar type to every scalar type. Text of floats and instants differs by design."""
    targets = [
        types.BOOL,
        *types.SIGNED,
        types.FLOAT,
        types.DOUBLE,
        types.decimal(9, 2),
        types.decimal(38, 10),
        types.STRING,
        types.DATE,
        types.TIMESTAMP,
    ]
    for name, target in itertools.product([*SORTABLE], targets):
        source = TYPES[name]
        if target == types.STRING and source.family in ("float", "ts", "bin") or source.family == "bin":
            continue
        times, source = ("date", "ts"), TYPES[name].family
        if (target.family in times) != (source in times) and source != "str" and target.family != "str":
            # Numbers are no dates; DuckDB's try_cast returns NULL.
            continue
        if source == "str" and target.family == "int":
            # DuckDB reads '1.5' as an integer.
            continue
        yield Alt(f"try_cast({name} AS {target.ours})", f"try_cast({name} AS {target.duck})")


def comparisons():
    families = [NUMBERS, ["d", "t"]]
    pairs = [(a, a) for a in SORTABLE]
    for family in families:
        pairs += itertools.combinations(family, 2)
    for left, right in pairs:
        for sign in ("=", "<", "IS DISTINCT FROM"):
            yield f"(e.{left} {sign} o.{right})"


def arithmetic():
    small = ["n", "f64", "d9", "d18", "f32"]
    for left, right in itertools.product(small, small):
        for sign in "+-*":
            yield f"({left} {sign} {right})"
        yield f"({left} / nullif({right}, 0))"
    for name in ("n", "d9", "f64", "i32"):
        yield f"({name} % 3)"
        yield f"(-nullif({name}, -2147483648))"
        yield f"({name} + 1)" if name != "i32" else f"(CAST({name} AS BIGINT) + 1)"
    yield from ["(n & 3)", "(n | 8)", "(n << 2)", "(n >> 1)", "(i32 & 255)"]


MATH = [
    "abs({})",
    "ceil({})",
    "floor({})",
    "round({})",
    "trunc({})",
    Alt("signum({})", "sign({})"),
    "sqrt(abs({}))",
    "round({}, 1)",
    "trunc({}, 1)",
    "round({}, -1)",
    "cbrt({})",
    "exp(least({}, 10))",
    "ln(nullif(abs({}), 0))",
    "log10(nullif(abs({}), 0))",
    "log2(nullif(abs({}), 0))",
    "power(least({}, 3), 2)",
    "sin({})",
    "atan({})",
    "degrees({})",
    "greatest({}, 1)",
    "least({}, 1)",
    "nullif({}, 1)",
    "coalesce({}, 1)",
]
STRINGS = [
    "length({})",
    "lower({})",
    "upper({})",
    "reverse({})",
    "trim({})",
    "ltrim({})",
    "rtrim({})",
    "substr({}, 2)",
    "substr({}, 2, 1)",
    "substr({}, -1)",
    "substring({} FROM 2 FOR 2)",
    "left({}, 1)",
    "left({}, -1)",
    "right({}, 2)",
    "right({}, -1)",
    "lpad({}, 4, '*')",
    "rpad({}, 4, 'xy')",
    "repeat({}, 2)",
    "replace({}, 'a', 'bb')",
    "replace({}, '', 'z')",
    "strpos({}, 'b')",
    "position('a' IN {})",
    "starts_with({}, 'a')",
    "split_part({}, ' ', 1)",
    "split_part({}, ' ', -1)",
    "translate({}, 'ab', 'x')",
    "ascii({})",
    "md5({})",
    "concat({}, NULL, 'x')",
    "({} || 'x')",
    "concat_ws(',', {}, NULL, 'x')",
    "regexp_replace({}, '[a-z]', '#', 'g')",
    Alt("regexp_like({}, '^[a-z]+$')", "regexp_matches({}, '^[a-z]+$')"),
    "({} LIKE 'a%')",
    "({} ILIKE 'A%')",
    "({} LIKE 'a\\%b' ESCAPE '\\')",
    "({} NOT LIKE '%b%')",
    "({} SIMILAR TO '[a-z]+')",
    "bit_length({})",
    "chr(ascii(nullif({}, '')))",
    "levenshtein({}, 'abc')",
    "ends_with({}, 'b')",
    "contains({}, 'b')",
    "initcap({})",
    "octet_length({})",
    "char_length({})",
    "to_hex(length({}))",
    "sha256({})",
    "btrim({}, 'a ')",
    "overlay({} PLACING 'zz' FROM 2 FOR 1)",
    "string_to_array({}, ' ')",
    "array_to_string(string_to_array({}, ' '), '-')",
]
FIELDS = [
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "second",
    "millisecond",
    "microsecond",
    "dow",
    "isodow",
    "doy",
    "week",
    "quarter",
    "epoch",
    "century",
    "decade",
    "isoyear",
    "millennium",
]
UNITS = [
    "microsecond",
    "millisecond",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
    "decade",
    "century",
]
LISTS = [
    Alt("cardinality({})", "len({})"),
    Alt("array_length({})", "len({})"),
    "{}[1]",
    "{}[2]",
    "{}[-1]",
    "{}[1:2]",
    Alt("array_append({}, {item})", "list_append({}, {item})"),
    Alt("array_prepend({item}, {})", "list_prepend({item}, {})"),
    Alt("array_concat({}, {})", "list_concat({}, {})"),
    Alt("array_has({}, {item})", "list_contains({}, {item})"),
    Alt("array_position({}, {item})", "list_position({}, {item})"),
    Alt("array_distinct({})", "list_sort(list_distinct({}))"),
    Alt("array_sort({})", "list_sort({})"),
    Alt("array_reverse({})", "list_reverse({})"),
    "array_to_string({}, ',')",
    Alt("empty({})", "(len({}) = 0)"),
    Alt("array_min({})", "list_min({})"),
    Alt("array_max({})", "list_max({})"),
    "coalesce({}, {})",
    "({} = {})",
    "({} IS NULL)",
]


def functions():
    for name, form in itertools.product(["n", "f64", "d9", "d18", "f32"], MATH):
        yield applied(form, name)
    for form in STRINGS:
        yield applied(form, "s")
    for form in LISTS:
        yield applied(form, "l", "1")
        yield applied(form, "ls", "'a'")
    for name in ("d", "t"):
        for field in FIELDS:
            if name == "t" or field not in ("hour", "minute", "second", "millisecond", "microsecond"):
                yield f"extract({field} FROM {name})"
        for unit in UNITS:
            yield f"date_trunc('{unit}', {name})"
        for span in ("1 DAY", "1 MONTH", "13 MONTH", "1 YEAR", "36 HOUR", "90 MINUTE"):
            bounded = f"CASE WHEN {name} BETWEEN '1900-01-01' AND '2100-01-01' THEN {name} END"
            yield f"({bounded} + INTERVAL '{span}')"
            yield f"({bounded} - INTERVAL '{span}')"
    yield from [
        "(d - DATE '2024-01-01')",
        "(d + 1)",
        "(d - 1)",
        "CAST(t AS DATE)",
        "last_day(d)",
        "make_date(2024, 2, 1 + CAST(abs(n % 10) AS INT))",
        "octet_length(x)",
        "encode(x, 'hex')",
        "(x = x)",
        "(x || x)",
        "(t > d)",
        "st['a']",
        "st['b']",
        "(st IS NULL)",
        "(st = st)",
        "(b AND n > 0)",
        "(b OR n > 0)",
        "(NOT b)",
        "(b IS TRUE)",
        "(b IS NOT FALSE)",
        "monthname(d)",
        "dayname(d)",
        "date_part('epoch', t)",
        "to_char(d, 'YYYY')",
        "epoch(t)",
    ]


def applied(form, name, item="1"):
    def put(words):
        return words.replace("{item}", item).replace("{}", name)

    return Alt(put(form.ours), put(form.duck)) if isinstance(form, Alt) else put(form)


AGGREGATES = ["count({})", "count(DISTINCT {})", "min({})", "max({})"]
NUMERIC = ["sum({})", "avg({})", "sum(DISTINCT {})", "stddev_samp({})", "var_pop({})", "median({})", "avg(DISTINCT {})"]


def aggregates():
    for name in SORTABLE:
        for form in AGGREGATES:
            yield form.replace("{}", name)
    for name in ("n", "i32", "i16", "f64", "d9", "d18", "f32"):
        for form in NUMERIC:
            if name in ("f64", "f32") and "median" not in form:
                continue
            yield form.replace("{}", name)
    for name in SORTABLE:
        yield f"array_agg({name} ORDER BY rid)"
        yield Alt(f"first_value({name} ORDER BY rid)", f"first({name} ORDER BY rid)")
        yield Alt(f"last_value({name} ORDER BY rid DESC)", f"last({name} ORDER BY rid DESC)")
        yield f"max({name}) FILTER (WHERE n > 0)"
    yield from [
        "array_agg(l ORDER BY rid)",
        "array_agg(st ORDER BY rid)",
        "count(l)",
        "count(st)",
        "string_agg(s, ',' ORDER BY rid)",
        "string_agg(DISTINCT s, ',' ORDER BY s)",
        "bool_and(b)",
        "bool_or(b)",
        "bit_and(n)",
        "bit_or(n)",
        "bit_xor(n)",
        "bit_and(i8)",
        "corr(n, d9)",
        "covar_pop(n, i32)",
        "regr_slope(n, i8)",
        "array_agg(DISTINCT n ORDER BY n)",
        "count(DISTINCT l)",
        "count(DISTINCT st)",
        "min(l)",
        "max(l)",
        "max(st)",
        "count(*) FILTER (WHERE b)",
        "mode() WITHIN GROUP (ORDER BY b)",
        "percentile_cont(0.5) WITHIN GROUP (ORDER BY n)",
        "quantile_cont(n, 0.25)",
        "any_value(1)",
        "sum(CASE WHEN b THEN 1 ELSE 0 END)",
        "sum(n) / count(*)",
        "max(n + 1)",
        "sum(i8 + i16)",
    ]


def windows():
    for name in SORTABLE:
        for call in (
            f"row_number() OVER (ORDER BY {name}, rid)",
            f"rank() OVER (ORDER BY {name} DESC)",
            f"lag({name}) OVER (ORDER BY rid)",
            f"max({name}) OVER (ORDER BY rid ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)",
            f"count(*) OVER (PARTITION BY {name})",
            f"first_value({name}) OVER (ORDER BY rid)",
            f"nth_value({name}, 2) OVER (ORDER BY rid)",
            f"lead({name}, 2, {name}) OVER (ORDER BY rid)",
            f"min({name}) OVER (ORDER BY rid ROWS BETWEEN 1 FOLLOWING AND 3 FOLLOWING)",
            f"dense_rank() OVER (PARTITION BY b ORDER BY {name} NULLS FIRST)",
        ):
            yield call
    for name in ("n", "d9", "i32", "d18"):
        for frame in (
            "ROWS 2 PRECEDING",
            "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
            "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING",
            "GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW",
            "ROWS BETWEEN 3 PRECEDING AND 2 PRECEDING",
        ):
            yield f"sum({name}) OVER (ORDER BY rid {frame})"
            yield f"avg({name}) OVER (PARTITION BY b ORDER BY rid {frame})"
    for name in ("n", "d", "t", "f64", "d9"):
        span = "INTERVAL '1' DAY" if name in ("d", "t") else "2"
        yield f"count(*) OVER (ORDER BY {name} RANGE BETWEEN {span} PRECEDING AND {span} FOLLOWING)"


def statements():
    """Whole statements: each type as a key of groups, joins, sets and orders."""
    for name in SORTABLE:
        yield f"SELECT {name} AS k, count(*) AS n FROM edges GROUP BY {name}", False
        yield f"SELECT DISTINCT {name} AS k FROM edges", False
        yield f"SELECT rid FROM edges ORDER BY {name}, rid", True
        yield f"SELECT rid FROM edges ORDER BY {name} DESC, rid LIMIT 5", True
        yield f"SELECT e.rid, o.rid AS r FROM edges e JOIN edges o ON e.{name} = o.{name}", False
        yield f"SELECT e.rid, o.rid AS r FROM edges e LEFT JOIN edges o ON e.{name} = o.{name} AND o.rid < 4", False
        yield f"SELECT e.rid, o.rid AS r FROM edges e FULL JOIN (SELECT * FROM edges WHERE rid > 8) o ON e.{name} IS NOT DISTINCT FROM o.{name}", False
        yield f"SELECT {name} FROM edges UNION SELECT {name} FROM edges WHERE b", False
        yield f"SELECT {name} FROM edges WHERE rid < 7 INTERSECT SELECT {name} FROM edges WHERE rid > 5", False
        yield f"SELECT {name} FROM edges EXCEPT SELECT {name} FROM edges WHERE rid > 9", False
        yield f"SELECT rid FROM edges WHERE {name} IN (SELECT {name} FROM edges WHERE rid < 3)", False
        yield f"SELECT rid FROM edges WHERE {name} = (SELECT max({name}) FROM edges)", False
        yield f"SELECT rid FROM edges e WHERE EXISTS (SELECT 1 FROM edges o WHERE o.{name} = e.{name} AND o.rid <> e.rid)", False
        yield f"SELECT b, {name}, count(*) AS c FROM edges GROUP BY ROLLUP (b, {name})", False
        yield f"SELECT max({name}) AS m FROM edges WHERE rid > 100", False
        yield f"SELECT rid, CASE WHEN b THEN {name} END AS v FROM edges", False
        yield f"SELECT rid FROM edges WHERE {name} IS NOT NULL AND NOT ({name} <> {name})", False
        yield f"SELECT b, min({name}) AS lo, max({name}) AS hi, count(DISTINCT {name}) AS n FROM edges GROUP BY b", False
    for left, right in itertools.combinations(NUMBERS, 2):
        yield f"SELECT {left} AS v FROM edges UNION ALL SELECT {right} FROM edges", False
        yield f"SELECT e.rid, o.rid AS r FROM edges e JOIN edges o ON e.{left} = o.{right}", False
        yield f"SELECT rid, coalesce({left}, {right}) AS v, CASE WHEN b THEN {left} ELSE {right} END AS w FROM edges", False
    for name in ("l", "ls", "st"):
        yield f"SELECT rid, {name} FROM edges ORDER BY rid", True
        yield f"SELECT {name}, count(*) AS n FROM edges GROUP BY {name}", False
        yield f"SELECT DISTINCT {name} FROM edges", False
        yield f"SELECT e.rid, o.rid AS r FROM edges e JOIN edges o ON e.{name} = o.{name}", False
        yield f"SELECT {name} FROM edges UNION ALL SELECT {name} FROM edges", False
        yield f"SELECT {name} FROM edges UNION SELECT {name} FROM edges", False
        yield f"SELECT rid, CASE WHEN b THEN {name} END AS v FROM edges", False
        yield f"SELECT rid FROM edges ORDER BY {name}, rid", True
    yield "SELECT rid, unnest(l) AS v FROM edges", False
    yield "SELECT unnest(ls) AS v FROM edges", False


def batches():
    """Statements as trees: expressions in batches, and the whole ones."""
    for name, maker, source in (
        ("casts", casts, "edges"),
        ("functions", functions, "edges"),
        ("arithmetic", arithmetic, "edges"),
        ("comparisons", comparisons, "edges e JOIN edges o ON (e.rid + 3) % 14 = o.rid"),
        ("aggregates", aggregates, "edges"),
        ("windows", windows, "edges"),
    ):
        items = list(maker())
        for start in range(0, len(items), BATCH):
            yield name, items[start : start + BATCH], source


def statement(items, source, name):
    """One SELECT of some expressions; its rows are ordered, so that columns can be compared one by one."""
    key = "e.rid" if " e " in source else "rid"
    head = [] if name == "aggregates" else [text(f"{key} AS rid")]
    order = "" if name == "aggregates" else " ORDER BY 1"
    named = [text(item, f" AS c{number}") for number, item in enumerate(items)]
    return query("SELECT ", seq([*head, *named]), f" FROM {source}{order}")


class Sweep:
    """Runs the sweep in a campaign."""

    def __init__(self, campaign):
        self.campaign, self.table = campaign, edges()

    def run(self, only=None):
        campaign = self.campaign
        layout(random.Random(1), self.table)
        self.table.options["files"] = 2
        campaign.store.create(self.table, campaign.admin, campaign.ducks)
        for name, items, source in batches():
            if not only or name in only:
                self.batch(name, [item for item in items if self.judged(name, item, source)], source)
        if not only or "statements" in only:
            for sql, ordered in statements():
                self.one("statements", sql, Built(query(sql), [], None, ordered=ordered))
        campaign.drop(self.table.name)

    def judged(self, name, item, source):
        """Whether DuckDB can run an expression."""
        judge = self.campaign.judge
        if judge.expected(statement([item], source, name)) is not None:
            return True
        self.campaign.counts["not judged"] += 1
        label = render(query(item), OURS)
        self.campaign.say(f"-- {name}: DuckDB cannot run {label}: {str(judge.last_duck_error)[:120]}")
        return False

    def batch(self, name, items, source):
        """Runs expressions together. If they fail together, halves of them run; a column that differs is reported."""
        if not items:
            return
        judge = self.campaign.judge
        node = statement(items, source, name)
        self.campaign.counts["statements"] += 1
        expected, found = judge.expected(node), judge.run(PATH, *judge.our_text(node))[0]
        first = len(node.parts[1].parts) - len(items)
        if isinstance(found, Failure):
            if len(items) == 1:
                self.report(name, items[0], source, found.message)
                return
            half = len(items) // 2
            self.batch(name, items[:half], source)
            self.batch(name, items[half:], source)
            return
        for number, item in enumerate(items):
            columns = [[(row[number + first],) for row in rows] for rows in (expected, found)]
            differs = difference(*columns, True)
            if differs:
                self.report(name, item, source, differs)

    def report(self, name, item, source, detail):
        """Prints an expression that differs, and the paths on which it does."""
        built = Built(statement([item], source, name), [], None, ordered=True)
        findings = self.campaign.judge.judge(built, random.Random(1), {"auto": 0, "staged": 0})
        if findings == []:
            detail = f"a documented refusal, or a known fault: {detail}"
        else:
            self.campaign.counts["different"] += 1
        paths = ", ".join(sorted(finding.path for finding in findings or []))
        self.campaign.say(f"== {name}: {render(query(item), OURS)}", f"   on {paths}: {detail[:300]}")

    def one(self, name, label, built):
        """A whole statement."""
        campaign = self.campaign
        campaign.counts["statements"] += 1
        findings = campaign.judge.judge(built, random.Random(1), {"auto": 0, "staged": 0})
        if findings is None:
            campaign.counts["not judged"] += 1
            campaign.say(f"-- {name}: DuckDB cannot run {label}: {str(campaign.judge.last_duck_error)[:120]}")
        elif findings:
            campaign.counts["different"] += 1
            paths = ", ".join(sorted(finding.path for finding in findings))
            campaign.say(f"== {name}: {label}", f"   on {paths}: {findings[0].detail[:300]}")
