"""What differs from DuckDB by design. `docs/guide/differences.md` says it in words; this file applies it.

Differences of syntax and of functions' names are in the generator, as `Alt`.
"""

# SQLSTATEs and words of errors that are a documented refusal of what DuckDB can do.
REFUSALS = [
    # The staged path and others refuse what they cannot run rather than return wrong rows.
    ("0A000", ""),
]

# The largest integer that has a type here; DuckDB has integers of 128 bits.
LARGEST = (1 << 63) - 1

# Words of a library within a refusal: nobody has decided to refuse that.
INTERNAL = ["physical plan does not support", "OuterReferenceColumn"]

# Errors of a machine that is too busy: executors that missed their heartbeats, and statements beyond their timeout.
BUSY = ("57P03", "57014", "53300", "53200")


def busy(failure):
    """Whether an error says that the machine was too busy, which proves nothing about the statement."""
    return failure.state in BUSY


def refusal(failure, expected):
    """Whether an error is one that the guide documents, of a statement whose rows DuckDB computed."""
    if any(words in failure.message for words in INTERNAL):
        return False
    if failure.state == "22003":
        return any(isinstance(value, int) and abs(value) > LARGEST for row in expected for value in row)
    return any(failure.state == state and words in failure.message for state, words in REFUSALS)


def staged_refusal(failure):
    """Whether the staged path refused a statement. It is chosen on request only."""
    return failure.state == "0A000"
