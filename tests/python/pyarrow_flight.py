"""Flight SQL message by message, as pyarrow's plain Flight client sends them. Arguments: URL."""

import sys

import pyarrow
from pyarrow import flight

from messages import command, decode, encode, signed, unpack
from support import authorities, check, credentials, equal, location, raised

# Everything that is not served but known: refused as unimplemented.
UNSERVED = {
    "BeginTransaction": command("ActionBeginTransactionRequest"),
    "EndTransaction": command("ActionEndTransactionRequest", {1: b"t", 2: 1}),
    "BeginSavepoint": command("ActionBeginSavepointRequest", {1: b"t", 2: "s"}),
    "EndSavepoint": command("ActionEndSavepointRequest", {1: b"s", 2: 1}),
    "CreatePreparedSubstraitPlan": command("ActionCreatePreparedSubstraitPlanRequest", {1: {1: b"plan"}}),
    "NoSuchAction": b"",
}

SERVED = {
    "CancelFlightInfo",
    "CancelQuery",
    "ClosePreparedStatement",
    "CloseSession",
    "CreatePreparedStatement",
    "GetSessionOptions",
    "RenewFlightEndpoint",
    "SetSessionOptions",
}

CANCELLED, NOT_CANCELLABLE = 1, 3
INVALID_NAME, INVALID_VALUE = 1, 2
CLOSED = 1


class Login(flight.ClientAuthHandler):
    """The older handshake: credentials as a message, and the answer is what every later call carries."""

    def __init__(self, user, password):
        super().__init__()
        self.payload = encode({2: user, 3: password})
        self.token = b""

    def authenticate(self, outgoing, incoming):
        outgoing.write(self.payload)
        self.token = incoming.read()

    def get_token(self):
        return self.token


class Client:
    """Sends commands and actions, and gives tables and fields."""

    def __init__(self, url, handshake):
        self.connection = flight.FlightClient(location(url), tls_root_certs=authorities())
        self.options = flight.FlightCallOptions(headers=handshake(self.connection))

    def info(self, name, message=None):
        return self.connection.get_flight_info(descriptor(name, message), self.options)

    def schema(self, name, message=None):
        return self.connection.get_schema(descriptor(name, message), self.options).schema

    def fetch(self, info):
        [endpoint] = info.endpoints
        equal(endpoint.locations, [], "locations")
        table = self.connection.do_get(endpoint.ticket, self.options).read_all()
        equal(table.schema, info.schema, "the schema of rows and what was said of it")
        return table

    def ask(self, name, message=None):
        """The rows of a command; all three ways to its schema agree."""
        info = self.info(name, message)
        equal(self.schema(name, message), info.schema, f"the schema of {name}")
        return self.fetch(info)

    def query(self, sql):
        return self.ask("CommandStatementQuery", {1: sql}).to_pylist()

    def act(self, name, body=b""):
        action = flight.Action(name, body)
        return [result.body.to_pybytes() for result in self.connection.do_action(action, self.options)]

    def put(self, name, message, batch=None):
        """What a server answers to a command that comes with rows, or with none. Reads before it ends."""
        schema = pyarrow.schema([]) if batch is None else batch.schema
        writer, reader = self.connection.do_put(descriptor(name, message), schema, self.options)
        if batch is not None:
            writer.write_batch(batch)
            writer.done_writing()
        answer = reader.read()
        writer.close()
        return decode(answer.to_pybytes())

    def update(self, sql):
        return count(self.put("CommandStatementUpdate", {1: sql}))

    def prepare(self, sql):
        [body] = self.act("CreatePreparedStatement", command("ActionCreatePreparedStatementRequest", {1: sql}))
        return unpack("ActionCreatePreparedStatementResult", body)

    def options_of_session(self):
        """Texts by name: a map's entries are messages of key and value, and a text is field 1 of that."""
        [body] = self.act("GetSessionOptions")
        entries = [decode(entry) for entry in decode(body)[1]]
        return {entry[1][0].decode(): decode(entry[2][0])[1][0].decode() for entry in entries}

    def set_options(self, **values):
        """Sets options, and gives the errors by name."""
        request = {1: [{1: name, 2: value} for name, value in values.items()]}
        [body] = self.act("SetSessionOptions", encode(request))
        entries = [decode(entry) for entry in decode(body).get(1, [])]
        return {entry[1][0].decode(): decode(entry[2][0])[1][0] for entry in entries}


def descriptor(name, message=None):
    return flight.FlightDescriptor.for_command(command(name, message))


def count(fields):
    return signed(fields.get(1, [0])[0])


def message_schema(message, field):
    """A schema as an encapsulated message in a field of bytes; without the field there are no columns."""
    encoded = message.get(field, [b""])[0]
    return pyarrow.ipc.read_schema(pyarrow.py_buffer(encoded))


def by_header(connection):
    """The newer handshake: Basic in a header, and a token in the answer's."""
    user, password = credentials() or ("tester", "secret")
    header, value = connection.authenticate_basic_token(user, password)
    check(header == b"authorization" and value.startswith(b"Bearer "), f"what a handshake gives: {header}")
    return [(header, value)]


def by_payload(connection):
    connection.authenticate(Login(*(credentials() or ("tester", "secret"))))
    return []


def statements(client):
    equal(client.query("SELECT 1 AS one, 'x' AS x"), [{"one": 1, "x": "x"}], "a query")
    equal(client.query("SELECT 1 AS one WHERE false"), [], "no rows")
    equal(client.update("CREATE TABLE plain (id BIGINT, name STRING)"), 0, "rows of DDL")
    equal(client.update("INSERT INTO plain VALUES (1, 'a'), (2, 'b')"), 2, "rows of an INSERT")
    equal(client.schema("CommandStatementQuery", {1: "INSERT INTO plain VALUES (9, 'z')"}).names, [], "columns of one")
    info = client.info("CommandStatementQuery", {1: "INSERT INTO plain VALUES (3, 'c')"})
    equal(info.total_records, 1, "rows of an INSERT that came as a query")
    for _ in range(2):
        equal(client.fetch(info).num_rows, 0, "rows that it gives")
    info = client.info("CommandStatementQuery", {1: "SELECT count(*) AS n FROM plain"})
    for _ in range(2):
        equal(client.fetch(info).to_pylist(), [{"n": 3}], "a ticket, redeemed again")


def prepared_queries(client):
    prepared = client.prepare("SELECT id FROM plain WHERE id >= ? ORDER BY id")
    handle = {1: prepared[1][0]}
    equal(message_schema(prepared, 2).names, ["id"], "columns of a prepared query")
    equal(message_schema(prepared, 3).types, [pyarrow.int64()], "parameters of a prepared query")
    raised(lambda: client.info("CommandPreparedStatementQuery", handle), pyarrow.ArrowInvalid, "nothing bound")
    for values, expected in [([2], [2, 3]), ([3], [3]), ([3, 1], [3, 1, 2, 3])]:
        batch = pyarrow.record_batch({"from": values})
        answer = client.put("CommandPreparedStatementQuery", handle, batch)
        equal(answer, handle_answer(handle), "the handle stays")
        found = client.ask("CommandPreparedStatementQuery", handle)
        equal(found["id"].to_pylist(), expected, f"rows from {values}")
    close(client, handle)
    error = raised(lambda: client.info("CommandPreparedStatementQuery", handle), Exception, "a closed handle")
    check("SQLSTATE 26000" in str(error), f"a closed handle: {error}")


def handle_answer(handle):
    return {1: [handle[1]]}


def close(client, handle):
    for _ in range(2):
        body = command("ActionClosePreparedStatementRequest", handle)
        check(client.act("ClosePreparedStatement", body) in ([], [b""]), "closing says nothing, twice as well")


def prepared_updates(client):
    prepared = client.prepare("INSERT INTO plain VALUES (?, ?)")
    handle = {1: prepared[1][0]}
    equal(message_schema(prepared, 2).names, [], "columns of a prepared INSERT")
    equal(len(message_schema(prepared, 3)), 2, "parameters of a prepared INSERT")
    batch = pyarrow.record_batch({"0": [10, 11], "1": ["k", None]})
    equal(count(client.put("CommandPreparedStatementUpdate", handle, batch)), 2, "values with the command")
    client.put("CommandPreparedStatementQuery", handle, batch)
    equal(count(client.put("CommandPreparedStatementUpdate", handle)), 2, "values bound before")
    close(client, handle)
    plain = client.prepare("INSERT INTO plain VALUES (12, 'm')")
    equal(count(client.put("CommandPreparedStatementUpdate", {1: plain[1][0]})), 1, "no parameters")
    equal(client.query("SELECT count(*) AS n FROM plain WHERE id >= 10"), [{"n": 5}], "rows of all")


def metadata(client):
    def column(name, command_name, message=None):
        return client.ask(command_name, message)[name].to_pylist()

    equal(column("catalog_name", "CommandGetCatalogs"), ["watershed"], "catalogs")
    schemas = column("db_schema_name", "CommandGetDbSchemas", {2: "%"})
    check({"public", "system", "information_schema"} <= set(schemas), f"schemas: {schemas}")
    equal(schemas, sorted(schemas), "schemas in order")
    equal(column("db_schema_name", "CommandGetDbSchemas", {1: ""}), [], "schemas without a catalog")
    equal(column("db_schema_name", "CommandGetDbSchemas", {1: "watershed", 2: "pub_ic"}), ["public"], "one schema")
    found = client.ask("CommandGetTables", {2: "public", 3: "plain", 5: 1})
    equal(found["table_type"].to_pylist(), ["TABLE"], "a table")
    columns = pyarrow.ipc.read_schema(pyarrow.py_buffer(found["table_schema"][0].as_py()))
    equal(columns.names, ["id", "name"], "its columns")
    for kind, expected in [("base table", ["plain"]), ("VIEW", [])]:
        equal(column("table_name", "CommandGetTables", {3: "plain", 4: [kind]}), expected, f"as {kind}")
    equal(column("table_name", "CommandGetTables", {3: "pl\\_in"}), [], "an escaped character")
    equal(sorted(column("table_type", "CommandGetTableTypes")), ["SYSTEM TABLE", "TABLE", "VIEW"], "table types")
    all_types = column("type_name", "CommandGetXdbcTypeInfo")
    check({"BIGINT", "VARCHAR", "DECIMAL", "TIMESTAMP"} <= set(all_types), f"types: {all_types}")
    check(0 < len(column("type_name", "CommandGetXdbcTypeInfo", {1: 12})) < len(all_types), "types of one code")


def information(client):
    every = client.ask("CommandGetSqlInfo").to_pylist()
    check(len(every) > 80, f"{len(every)} codes")
    values = {row["info_name"]: row["value"] for row in every}
    equal((values[0], values[3], values[4], values[8], values[504]), ("Watershed", False, True, 0, '"'), "some codes")
    some = client.ask("CommandGetSqlInfo", {1: [0, 3, 504, 99999]}).to_pylist()
    equal({row["info_name"]: row["value"] for row in some}, {0: "Watershed", 3: False, 504: '"'}, "those asked for")


def keys(client):
    client.update("CREATE TABLE keyed (b INT, a INT, c INT, PRIMARY KEY (a, b))")
    found = client.ask("CommandGetPrimaryKeys", {2: "public", 3: "keyed"}).to_pylist()
    equal([(row["column_name"], row["key_sequence"]) for row in found], [("a", 1), ("b", 2)], "a primary key")
    for name, message in [
        ("CommandGetPrimaryKeys", {3: "plain"}),
        ("CommandGetExportedKeys", {3: "keyed"}),
        ("CommandGetImportedKeys", {3: "keyed"}),
        ("CommandGetCrossReference", {3: "keyed", 6: "plain"}),
    ]:
        equal(client.ask(name, message).num_rows, 0, name)


def sessions(client):
    equal(client.options_of_session()["schema"], "public", "the schema at first")
    errors = client.set_options(
        **{
            "schema": {1: "system"},
            "catalog": {1: "elsewhere"},
            "watershed.execution": {1: "nowhere"},
            "watershed.nothing": {2: 1},
            "watershed.batch_size": {1: "4096"},
        }
    )
    expected = {"catalog": INVALID_VALUE, "watershed.execution": INVALID_VALUE, "watershed.nothing": INVALID_NAME}
    equal(errors, expected, "options that are refused, and no others")
    options = client.options_of_session()
    equal((options["schema"], options["watershed.batch_size"]), ("system", "4096"), "options that were set")
    equal(client.set_options(**{"schema": {}, "watershed.batch_size": {}}), {}, "options without a value")
    options = client.options_of_session()
    equal((options["schema"], options["watershed.batch_size"]), ("public", "8192"), "are those of the beginning")


def cancelling(client):
    statement = {1: "SELECT value, repeat('x', 1000) AS filling FROM range(10000000)"}
    for action, envelope in [
        ("CancelFlightInfo", lambda info: encode({1: info})),
        ("CancelQuery", lambda info: command("ActionCancelQueryRequest", {1: info})),
    ]:
        info = client.info("CommandStatementQuery", statement)
        reader = client.connection.do_get(info.endpoints[0].ticket, client.options)
        check(reader.read_chunk().data.num_rows > 0, "rows before it is cancelled")
        for expected in (CANCELLED, NOT_CANCELLABLE):
            [body] = client.act(action, envelope(info.serialize()))
            fields = decode(body) if action == "CancelFlightInfo" else unpack("ActionCancelQueryResult", body)
            equal(fields[1], [expected], action)
        # Chunk by chunk: read_all takes it for somebody's interrupt from the keyboard.
        error = raised(lambda: [*reader], flight.FlightCancelledError, "a cancelled stream")
        check("SQLSTATE 57014" in str(error), f"a cancelled stream: {error}")
    info = client.info("CommandStatementQuery", statement)
    reader = client.connection.do_get(info.endpoints[0].ticket, client.options)
    reader.read_chunk()
    reader.cancel()


def renewing(client):
    info = client.info("CommandStatementQuery", {1: "SELECT 7 AS n"})
    endpoint = info.endpoints[0]
    check(endpoint.expiration_time is not None, "a ticket that expires")
    [body] = client.act("RenewFlightEndpoint", encode({1: endpoint.serialize()}))
    renewed = flight.FlightEndpoint.deserialize(body)
    before, after = endpoint.expiration_time.as_py(), renewed.expiration_time.as_py()
    check(after >= before, f"it expired at {before}, and was renewed to {after}")
    table = client.connection.do_get(renewed.ticket, client.options).read_all()
    equal(table.to_pylist(), [{"n": 7}], "rows of a renewed ticket")


def actions(client):
    listed = {action.type for action in client.connection.list_actions(client.options)}
    equal(SERVED - listed, set(), "actions that are not listed")
    for name, body in UNSERVED.items():
        check(name not in listed, f"{name} is listed")
        raised(lambda: client.act(name, body), NotImplementedError, name)
    for name in SERVED - {"CloseSession", "GetSessionOptions"}:
        error = raised(lambda: client.act(name, b"\xff\xff"), pyarrow.ArrowInvalid, f"{name} with nonsense")
        check(len(str(error)) < 8192, f"{name} with nonsense: {error}")


def mistakes(client):
    def asked(body):
        return lambda: client.connection.get_flight_info(flight.FlightDescriptor.for_command(body), client.options)

    for body in (b"\xff\xff\xff", b""):
        raised(asked(body), Exception, f"the command {body}")
    raised(asked(command("NoSuchCommand")), NotImplementedError, "an unknown command")
    path = flight.FlightDescriptor.for_path("plain")
    raised(lambda: client.connection.get_flight_info(path, client.options), Exception, "a path")
    for ticket in (b"", b"\xff\xff", command("TicketStatementQuery", {1: b"forged"})):
        forged = flight.Ticket(ticket)
        raised(lambda: client.connection.do_get(forged, client.options).read_all(), Exception, f"the ticket {ticket}")
    info = client.info("CommandStatementQuery", {1: "SELECT 1 / 0 AS n"})
    error = raised(lambda: client.fetch(info), pyarrow.ArrowInvalid, "an error among the rows")
    check("SQLSTATE 22012" in str(error), f"an error among the rows: {error}")
    raised(lambda: client.query("SELECT * FROM nowhere"), KeyError, "a table that is not there")
    raised(lambda: client.put("CommandStatementSubstraitPlan", {1: {1: b"plan"}}), NotImplementedError, "Substrait")
    with_transaction = {1: "SELECT 1", 2: b"transaction"}
    raised(lambda: client.info("CommandStatementQuery", with_transaction), NotImplementedError, "a transaction")
    equal(client.query("SELECT 2 AS n"), [{"n": 2}], "the connection after mistakes")


def ending(client):
    client.set_options(schema={1: "system"})
    equal(client.act("CloseSession"), [encode({1: CLOSED})], "a session that ends")
    equal(client.options_of_session()["schema"], "public", "the next one begins anew")


def main(url):
    for handshake in (by_header, by_payload):
        client = Client(url, handshake)
        statements(client)
        prepared_queries(client)
        prepared_updates(client)
        metadata(client)
        information(client)
        keys(client)
        sessions(client)
        cancelling(client)
        renewing(client)
        actions(client)
        mistakes(client)
        client.update("DROP TABLE plain")
        client.update("DROP TABLE keyed")
        ending(client)


main(*sys.argv[1:])
