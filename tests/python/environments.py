"""Environments that scripts make for tools which have no place beside the drivers of `requirements.txt`."""

import os
import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).parent


def python_with(folder, requirements):
    """The Python of an environment with what a file of requirements lists; made if this is the first to ask."""
    folder = pathlib.Path(folder)
    python, complete = folder / "bin/python", folder / "complete"
    wanted = (HERE / requirements).read_text()
    if not complete.exists() or complete.read_text() != wanted:
        venv.create(folder, clear=True, with_pip=True)
        arguments = ["install", "-q", "--no-deps", "--disable-pip-version-check", "-r", HERE / requirements]
        subprocess.run([python, "-m", "pip", *arguments], check=True)
        complete.write_text(wanted)
    return python


def enter(requirements):
    """Where a folder is named after the URL, this process goes on as the Python of the environment there."""
    if len(sys.argv) > 2:
        python = python_with(sys.argv[2], requirements)
        os.execv(python, [str(python), "-B", sys.argv[0], sys.argv[1]])
