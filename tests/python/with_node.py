"""Two clients of npm against a server. Arguments: URL FOLDER, where they are installed, once."""

import os
import pathlib
import shutil
import subprocess
import sys

SCRIPTS = pathlib.Path(__file__).parent.parent / "node"


def install(folder):
    """The scripts beside what they import; installed if this is the first to ask."""
    folder.mkdir(parents=True, exist_ok=True)
    lock, installed = SCRIPTS / "package-lock.json", folder / "complete"
    for path in SCRIPTS.iterdir():
        shutil.copy(path, folder)
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        # `npm ci` refuses the lock file, as a package for FreeBSD that one client names was never published.
        arguments = ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(["npm", *arguments], cwd=folder, check=True)
        shutil.copy(lock, installed)


def main(url, folder):
    folder = pathlib.Path(folder)
    install(folder)
    variables, scripts = dict(os.environ), ["gizmosql.mjs", "lakehouse.mjs"]
    if url.startswith("https:"):
        # The second trusts the authorities that it brings, and no others.
        variables["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = variables["WATERSHED_TEST_CA"]
        scripts.pop()
    for script in scripts:
        subprocess.run(["node", script, url], cwd=folder, env=variables, check=True, timeout=120)


main(*sys.argv[1:])
