"""Kinds of statements and values that a campaign can leave out, so that it goes on finding others.

Each switch names what it allows. `DEFAULT_OFF` are those with a known fault; the list is to become empty.
"""

SWITCHES = {
    "nan": "NaN as a value",
    "negative_zero": "-0.0 as a value",
    "integer_overflow": "arithmetic and sums that may leave the type of their operands",
    "decimal_literals": "literals such as 1.25 without a cast",
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
    "many_paths_staged": "the staged path",
    "parameters": "bound parameters",
    "repeated_sort_keys": "sort keys of aggregates that stand twice",
    "binary_windows": "ORDER BY of a binary column in windows",
    "repeated_groups": "grouping expressions that stand twice in ROLLUP, CUBE, GROUPING SETS",
    "lateral_limit": "LATERAL with ORDER BY and LIMIT",
    "lateral_unnest": "UNNEST of a column of another source",
    "decimal_round": "round() of decimals",
    "early_dates": "dates and instants before 1678 and after 2261",
    "null_decimal_arrays": "arrays of decimals in INSERT ... VALUES",
    "empty_files": "external tables whose files have no rows",
    "constant_windows": "PARTITION BY of what may be a constant",
    "distinct_of_is_null": "COUNT(DISTINCT x IS NULL)",
    "mixed_sets": "set operations over different types",
    "using": "JOIN ... USING",
    "range_offsets": "window frames of RANGE with an offset",
    "writes": "CREATE TABLE AS and INSERT ... SELECT",
    "using_where": "columns of USING in WHERE",
    "unused_parameters": "parameters in CTEs that nothing names",
    "union_order": "ORDER BY over UNION ALL with a constant in one branch",
    "window_beside_scalar": "windows above lateral aggregates beside a scalar subquery",
    "staged_merge_join": "joins on the staged path whose sides have different partitions",
    "infinity": "infinite floats",
    "date_add_type": "DATE + INTERVAL as a value",
}

# Messages of known faults: while a switch is off, an error that contains one of its messages is counted and no more.
ERRORS = {
    "constant_windows": ["PARTITION BY expression to be ordered", "All partition by columns should have an ordering"],
    "repeated_groups": ["stands twice"],
    "repeated_sort_keys": ["assertion `left == right` failed", "column types must match schema types"],
    "lateral_limit": ["OuterReferenceColumn"],
    "decimal_round": ["values had multiple data types: Decimal128"],
    "using_where": ["is in more than one table"],
    "unused_parameters": ["parameters, and"],
    "union_order": ["SortPreservingMergeExec: ["],
    "window_beside_scalar": ["window schema has wrong number of fields"],
    "staged_merge_join": ["Invalid SortMergeJoinExec"],
    "distinct_of_is_null": ["physical input schema should be the same"],
}

DEFAULT_OFF = {
    "nan",
    "negative_zero",
    "integer_overflow",
    "decimal_literals",
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
    "array_functions",
    "casts_round",
    "repeated_sort_keys",
    "binary_windows",
    "repeated_groups",
    "lateral_limit",
    "lateral_unnest",
    "decimal_round",
    "early_dates",
    "null_decimal_arrays",
    "empty_files",
    "distinct_of_is_null",
    "constant_windows",
    "unused_parameters",
    "union_order",
    "window_beside_scalar",
    "staged_merge_join",
    "infinity",
}


class Known:
    """The switches of a campaign."""

    def __init__(self, allow=(), leave_out=()):
        unknown = (set(allow) | set(leave_out)) - set(SWITCHES) - {"all"}
        if unknown:
            raise SystemExit(f"unknown switches {sorted(unknown)}; there are {sorted(SWITCHES)}")
        self.off = set() if "all" in allow else DEFAULT_OFF - set(allow)
        self.off |= set(leave_out)

    def message(self, message):
        """The switch of a known fault with such a message, if it is off."""
        for switch, messages in ERRORS.items():
            if switch in self.off and any(words in message for words in messages):
                return switch
        return None

    def allows(self, switch):
        if switch not in SWITCHES:
            raise KeyError(switch)
        return switch not in self.off
