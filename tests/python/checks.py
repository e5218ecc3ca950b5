"""Assertions, for scripts in any environment."""


def check(condition, what):
    """An assertion that optimization does not remove."""
    if not condition:
        raise AssertionError(what)


def equal(found, expected, what):
    check(found == expected, f"{what}: {expected!r} expected, {found!r} found")


def raised(work, kind, what):
    """The error, of a kind, that a piece of work has to end with."""
    try:
        found = work()
    except kind as error:
        return error
    raise AssertionError(f"{what}: an error was expected, not {found!r}")
