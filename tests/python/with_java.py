"""Arrow's Java client against a server. Arguments: URL FOLDER, where its jars are put, once.

A package of PyPI brings the jars, 240 MB with much else, as Maven Central is not reached from everywhere.
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

HERE = pathlib.Path(__file__).parent
PACKAGE = "deephaven-server==42.7"
NEEDED = re.compile(
    r"(arrow-|flight-|grpc-|netty-(?!nio)|guava-|failureaccess-|protobuf-java-|proto-google-common-|flatbuffers-"
    r"|slf4j-api-|perfmark-api-|jackson-(core|annotations|databind|datatype-jsr310)-|jsr305-|gson-|commons-codec-)"
)


def jars(folder):
    """The folder with the client and what it needs; filled if this is the first to ask."""
    complete = folder / "complete"
    if not complete.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            arguments = ["download", "-q", "--no-deps", "--disable-pip-version-check", "-d", place, PACKAGE]
            subprocess.run([sys.executable, "-m", "pip", *arguments], check=True)
            with zipfile.ZipFile(next(pathlib.Path(place).glob("*.whl"))) as wheel:
                for entry in wheel.infolist():
                    name = pathlib.PurePosixPath(entry.filename).name
                    if name.endswith(".jar") and NEEDED.match(name):
                        (folder / name).write_bytes(wheel.read(entry))
        complete.touch()
    return folder


def main(url, folder):
    path = f"{jars(pathlib.Path(folder))}/*"
    options = ["--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", path]
    subprocess.run(["java", *options, HERE.parent / "java/FlightSqlWalk.java", url], check=True)


main(*sys.argv[1:])
