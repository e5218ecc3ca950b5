"""Environments that scripts make for tools which have no place beside the drivers of `requirements.txt`."""

import os
import pathlib
import subprocess
import sys
import urllib.parse
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
        if "WATERSHED_TEST_CA" in os.environ:
            # Where the driver looks for authorities.
            os.environ["SSL_CERT_FILE"] = os.environ["WATERSHED_TEST_CA"]
        os.execv(python, [str(python), "-B", sys.argv[0], sys.argv[1]])


def credentials():
    """Who asks, as options of the driver; none for nobody in particular."""
    names = {"username": "WATERSHED_TEST_USER", "password": "WATERSHED_TEST_PASSWORD"}
    return {option: os.environ[name] for option, name in names.items() if name in os.environ}


def connect(url):
    """A connection of ADBC's."""
    import adbc_driver_flightsql.dbapi as flight_sql

    location = url.replace("https://", "grpc+tls://").replace("http://", "grpc://")
    return flight_sql.connect(location, db_kwargs=credentials(), autocommit=True)


def engine_address(url, database=""):
    """The address by which sqlalchemy-adbc connects."""
    secure = "true" if url.startswith("https:") else "false"
    options = urllib.parse.urlencode({"tls": secure, **credentials()})
    return f"adbc+flightsql://{urllib.parse.urlsplit(url).netloc}/{database}?{options}"
