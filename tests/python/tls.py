"""Drivers over TLS: whom they trust and whom they do not, large headers and messages, the HTTP port."""

import contextlib
import os
import ssl
import sys
import urllib.request

import adbc_driver_flightsql.dbapi as flight_sql
import pyarrow.flight as flight
from adbc_driver_flightsql import DatabaseOptions

from support import authorities, check, connect, equal, location, rows

ROOTS = DatabaseOptions.TLS_ROOT_CERTS.value
HEADER = DatabaseOptions.RPC_CALL_HEADER_PREFIX.value


def adbc(url, stranger):
    with connect(url) as connection:
        equal(rows(connection, "SELECT 1"), [(1,)], "over TLS")
    for roots in (None, stranger):
        text = refusal(url, {ROOTS: roots} if roots else {})
        check("certificate" in text, f"an authority that is not trusted: {text}")
    check(refusal(url.replace("https://", "http://"), {}), "without TLS")


def refusal(url, options):
    try:
        with flight_sql.connect(location(url), db_kwargs=options, autocommit=True) as connection:
            found = rows(connection, "SELECT 1")
    except flight_sql.Error as error:
        return str(error)
    raise AssertionError(f"an error was expected, not {found}")


def large(url):
    padding = {f"{HEADER}x-option-{number}": "v" * 8_000 for number in range(8)}
    with connect(url, db_kwargs=padding) as connection:
        equal(rows(connection, "SELECT 1"), [(1,)], "64 KB of headers")
    # As much as the driver sends: 16 MiB, with what is around the text.
    text = "x" * ((16 << 20) - 1_000)
    with connect(url) as connection:
        equal(rows(connection, "SELECT length(?)", (text,)), [(len(text),)], "a message of 16 MiB")


def arrow(url, stranger):
    query = flight.FlightDescriptor.for_command(statement_query("SELECT 40 + 2 AS n"))
    with contextlib.closing(flight.connect(location(url), tls_root_certs=authorities())) as client:
        header, value = client.authenticate_basic_token(
            os.environ.get("WATERSHED_TEST_USER", "tester"), os.environ.get("WATERSHED_TEST_PASSWORD", "")
        )
        options = flight.FlightCallOptions(headers=[(header, value)])
        info = client.get_flight_info(query, options)
        table = client.do_get(info.endpoints[0].ticket, options).read_all()
        equal(table.to_pydict(), {"n": [42]}, "pyarrow.flight over TLS")
    with contextlib.closing(flight.connect(location(url), tls_root_certs=stranger)) as client:
        try:
            list(client.list_actions(flight.FlightCallOptions(timeout=10)))
        except (flight.FlightUnavailableError, flight.FlightTimedOutError):
            return
    raise AssertionError("pyarrow.flight trusts a stranger")


def statement_query(sql):
    """A CommandStatementQuery in an Any, as Flight SQL sends it."""

    def field(number, content):
        length, size = b"", len(content)
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + content

    kind = b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"
    return field(1, kind) + field(2, field(1, sql.encode()))


def http(url):
    context = ssl.create_default_context(cadata=authorities())
    with urllib.request.urlopen(f"{url}/healthz", context=context, timeout=10) as answer:
        equal((answer.status, answer.read()), (200, b"ok\n"), "/healthz over TLS")


def main(url, http_url, stranger):
    with open(stranger) as file:
        stranger = file.read()
    adbc(url, stranger)
    large(url)
    arrow(url, stranger)
    http(http_url)


main(*sys.argv[1:])
