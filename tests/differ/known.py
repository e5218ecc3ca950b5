"""Kinds of statements and values that a campaign can leave out, so that it goes on finding others.

Each switch names what it allows. `DEFAULT_OFF` are those with a known fault; the list is to become empty.
"""

SWITCHES = {
    "nan": "NaN as a value",
    "negative_zero": "-0.0 as a value",
    "integer_overflow": "arithmetic and sums that may leave the type of their operands",
    "decimal_literals": "literals such as 1.25 without a cast",
    "decimal_overflow": "decimal arithmetic beyond 38 digits",
    "window_filter": "FILTER in window functions",
    "window_ignore_nulls": "IGNORE NULLS",
    "window_directions": "windows of several directions in one statement",
    "grouping_sets_empty": "GROUPING SETS whose only sets are empty",
    "min_and_max": "MIN and MAX together without GROUP BY",
    "right_join_where": "WHERE above RIGHT JOIN and FULL JOIN",
    "distinct_from_bare": "IS [NOT] DISTINCT FROM without brackets",
    "null_safe_join": "IS NOT DISTINCT FROM in join conditions",
    "set_operations_all": "EXCEPT ALL and INTERSECT ALL",
    "correlated_aggregate": "correlated subqueries with aggregates",
    "correlated_select": "EXISTS and IN in the select list",
    "correlated_not_in": "correlated NOT IN",
    "recursive_join": "recursive CTEs that join a table",
    "intervals": "comparisons of intervals",
    "mixed_comparisons": "comparisons between numbers of different types",
    "hedging": "watershed.hedging left on",
    "casts_round": "casts of fractions to integers",
    "array_functions": "functions that build arrays from stored arrays",
    "bulk_ingest": "appends by bulk ingest",
    "many_paths_staged": "the staged path",
    "parameters": "bound parameters",
    "order_by_alias": "ORDER BY of an expression over an alias that hides a column",
    "date_add_type": "DATE + INTERVAL as a value",
}

DEFAULT_OFF = {
    "nan",
    "negative_zero",
    "integer_overflow",
    "decimal_literals",
    "decimal_overflow",
    "window_filter",
    "window_ignore_nulls",
    "window_directions",
    "grouping_sets_empty",
    "min_and_max",
    "right_join_where",
    "distinct_from_bare",
    "null_safe_join",
    "set_operations_all",
    "correlated_aggregate",
    "correlated_select",
    "correlated_not_in",
    "recursive_join",
    "intervals",
    "hedging",
    "bulk_ingest",
    "array_functions",
}


class Known:
    """The switches of a campaign."""

    def __init__(self, allow=(), leave_out=()):
        unknown = (set(allow) | set(leave_out)) - set(SWITCHES) - {"all"}
        if unknown:
            raise SystemExit(f"unknown switches {sorted(unknown)}; there are {sorted(SWITCHES)}")
        self.off = set() if "all" in allow else DEFAULT_OFF - set(allow)
        self.off |= set(leave_out)

    def allows(self, switch):
        if switch not in SWITCHES:
            raise KeyError(switch)
        return switch not in self.off
