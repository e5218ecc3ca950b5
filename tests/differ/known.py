"""Kinds of statements that a campaign can leave out, so that it goes on finding others.

Each switch names what it allows. `DEFAULT_OFF` are those with a known fault; the list is to become empty.
"""

SWITCHES = {
    "staged": "the staged path",
    "parameters": "bound parameters",
    "writes": "CREATE TABLE AS, and views",
    "decimal_elements": "decimals of another type as elements of arrays",
    "constant_conditions": "conditions that name no column",
    "empty_files": "files of zero bytes",
    "filter_above_count": "aggregates with FILTER above COUNT without GROUP BY",
    "floats_in_subqueries": "subqueries that are correlated by floats",
    "series_without_columns": "generate_series of which no column is read",
    "ordered_structs": "aggregates in the order of structs",
}

# Messages of known faults: while a switch is off, an error that contains one of its messages is counted and no more.
ERRORS = {
    "empty_files": ["there are no files at"],
    "filter_above_count": ["does not match with the projection expression", "physicalExpr Column references column"],
    "floats_in_subqueries": ["ScalarSubquery(<subquery>)", "projections require unique expression names"],
    "series_without_columns": ["must match number of fields(0)"],
    "ordered_structs": ["does not correctly implement a total order"],
}

DEFAULT_OFF = {"decimal_elements", "constant_conditions", *ERRORS}


class Known:
    """The switches of a campaign."""

    def __init__(self, allow=(), leave_out=()):
        allow, leave_out = set(allow), set(leave_out)
        unknown = (allow | leave_out) - set(SWITCHES) - {"all"}
        if unknown:
            raise SystemExit(f"unknown switches {sorted(unknown)}; there are {sorted(SWITCHES)}")
        self.off = set() if "all" in allow else DEFAULT_OFF - allow
        self.off |= leave_out

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
