"""The shell's question for a password, at a terminal: it shows nothing of what is typed."""

import os
import pty
import sys

from support import check


def session(arguments, typed):
    """What a terminal shows of a program to which somebody types once it asks."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm"
        os.execv(arguments[0], arguments)
    shown = b""
    while True:
        try:
            more = os.read(terminal, 4096)
        except OSError:
            # The program has closed its side.
            break
        shown += more
        if typed and b": " in shown:
            os.write(terminal, typed)
            typed = b""
    _, status = os.waitpid(child, 0)
    return shown.decode(), os.waitstatus_to_exitcode(status)


def main(program, url, authorities):
    arguments = [program, "sql", "--url", url, "--ca", authorities, "--user", "ada", "-c", "SELECT 41 + 1 AS n"]
    shown, code = session(arguments, b"hunter2\r")
    check("Password of ada: " in shown, f"the question: {shown!r}")
    check("hunter" not in shown, f"the password is shown: {shown!r}")
    check(code == 0 and "42" in shown, f"the answer: {shown!r}, exit code {code}")
    interrupted, code = session(arguments, b"\x03")
    check(code == 2 and "no password" in interrupted, f"Ctrl-C: {interrupted!r}, exit code {code}")


main(*sys.argv[1:])
