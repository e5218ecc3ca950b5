"""The differ's own parts: comparison, minimizer, reproducible generation. Needs no server."""

import decimal
import math
import pathlib
import random
import re

from . import minimizer, types
from .comparison import canonical_rows, difference
from .known import DEFAULT_OFF, ERRORS, SWITCHES, Known
from .schemas import random_table
from .statements import Statements
from .tree import DUCK, OURS, expr, opt, query, render, seq


def comparison():
    def differs(left, right, ordered=False):
        return difference(canonical_rows(left), canonical_rows(right), ordered) is not None

    assert not differs([(1, "a"), (2, None)], [(2, None), (1, "a")])
    assert differs([(1, "a"), (2, None)], [(2, None), (1, "a")], ordered=True)
    assert differs([(1,), (1,), (2,)], [(1,), (2,), (2,)])
    assert not differs([(0.1 + 0.2,), (math.nan,)], [(math.nan,), (0.3,)])
    assert differs([(9007199254740993,)], [(9007199254740992,)])
    assert not differs([(1.25,), (decimal.Decimal("2.50"),)], [(decimal.Decimal("2.5"),), (decimal.Decimal("1.25"),)])
    assert differs([(decimal.Decimal("0.1000000001"),)], [(decimal.Decimal("0.1"),)])
    assert not differs([([1, None],)], [([1, None],)]) and differs([([1],)], [([1, None],)])


def minimizing():
    """A fault that needs `c2 % 3` in a statement is found among other columns and conditions."""
    bad = expr(types.BIGINT, "(", expr(types.BIGINT, "c2"), " % 3)")
    condition = opt(" WHERE ", seq([expr(types.BOOL, "TRUE"), expr(types.BOOL, "(", bad, " = 1)")], " AND "))
    root = query("SELECT ", seq([expr(types.BIGINT, "c0"), expr(types.BIGINT, "c1")]), " FROM t", condition)
    found = minimizer.minimize(root, lambda node: "% 3" in render(node, OURS), 5)
    assert render(found, OURS) in ("SELECT 1 FROM t WHERE (c2 % 3)", "SELECT 1 FROM t WHERE ((1 % 3) = 1)"), render(
        found, OURS
    )
    assert minimizer.fewer(list(range(50)), lambda rows: 7 in rows and 31 in rows, 5) == [7, 31]


def switches():
    """Each switch has an effect."""
    sources = [file.read_text() for file in pathlib.Path(__file__).parent.glob("*.py")]
    used = set(re.findall(r'allows\("(\w+)"\)', "".join(sources))) | set(ERRORS)
    assert used == set(SWITCHES), used ^ set(SWITCHES)
    assert DEFAULT_OFF <= set(SWITCHES)
    # Command lines pass iterators.
    assert Known(iter(["all"])).off == set()
    assert Known(iter(SWITCHES), iter(["writes"])).off == {"writes"}


def reproducible():
    """A seed makes the same tables and statements each time."""

    def made(seed):
        rng = random.Random(seed)
        known = Known(["all"])
        tables = [random_table(rng, known, f"t{number}") for number in range(3)]
        sql = [Statements(random.Random(f"{seed}/{n}"), known, tables).statement().node for n in range(20)]
        return [table.ddl() for table in tables], [render(node, dialect) for node in sql for dialect in (OURS, DUCK)]

    assert made(3) == made(3) and made(3) != made(4)


for check in (comparison, minimizing, switches, reproducible):
    check()
print("the differ's own parts work")
