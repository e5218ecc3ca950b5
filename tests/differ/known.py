"""Kinds of statements that a campaign can leave out, so that it goes on finding others.

Each switch names what it allows. `DEFAULT_OFF` are those with a known fault; the list is to become empty.
"""

SWITCHES = {
    "staged": "the staged path",
    "parameters": "bound parameters",
    "writes": "CREATE TABLE AS, and views",
}

# Messages of known faults: while a switch is off, an error that contains one of its messages is counted and no more.
ERRORS: dict[str, list[str]] = {}

DEFAULT_OFF: set[str] = {*ERRORS}


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
