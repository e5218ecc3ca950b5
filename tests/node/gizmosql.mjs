// @gizmodata/gizmosql-client: statements, types, metadata, sessions, errors. Arguments: URL.

import { FlightSQLClient } from "@gizmodata/gizmosql-client";
import { address, credentials, equal, failure, isSecure } from "./checks.mjs";

const EVERY_TYPE =
  "a TINYINT, b SMALLINT, c INT, d BIGINT, e FLOAT, f DOUBLE, g DECIMAL(12, 2), h STRING, i BOOLEAN, j BINARY, " +
  "k DATE, l TIMESTAMP, m ARRAY<BIGINT>, n STRUCT<x INT, y STRING>, o JSON";

const client = new FlightSQLClient({ ...address(), ...credentials(), plaintext: !isSecure() });
const rows = async (sql) => (await client.execute(sql)).toArray().map((row) => row.toJSON());

async function types() {
  await rows("DROP TABLE IF EXISTS node_types");
  await rows(`CREATE TABLE node_types (${EVERY_TYPE})`);
  await rows(
    `INSERT INTO node_types VALUES (1, 2, 3, 9007199254740993, 1.5, 2.5, 1234.56, 'Zoë ''q''', true, X'00ff',
       '2024-02-29', '2024-02-29 12:34:56.789', ARRAY[1, NULL, 3], named_struct('x', 1, 'y', 'z'), '{"k":1}'),
     (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`,
  );
  const table = await client.execute("SELECT * FROM node_types ORDER BY a");
  const first = table.get(0).toJSON();
  equal([first.a, first.b, first.c, first.d, first.e, first.f], [1, 2, 3, 9007199254740993n, 1.5, 2.5], "numbers");
  equal([...first.g], [123456, 0, 0, 0], "a decimal: words of its whole number");
  equal([first.h, first.i, [...first.j], first.o], ["Zoë 'q'", true, [0, 255], '{"k":1}'], "a string, a flag, bytes, JSON");
  equal(first.k, Date.UTC(2024, 1, 29), "a date: milliseconds since 1970");
  equal(first.l, Date.UTC(2024, 1, 29, 12, 34, 56, 789), "an instant: milliseconds since 1970");
  equal([first.m.get(0), first.m.get(1), first.m.get(2)], [1n, null, 3n], "a list");
  equal(first.n.toJSON(), { x: 1, y: "z" }, "a struct");
  equal(Object.values(table.get(1).toJSON()), Array(15).fill(null), "a row of NULLs");
  const empty = await client.execute("SELECT h, d FROM node_types WHERE false");
  equal([empty.numRows, empty.schema.fields.map((field) => field.name)], [0, ["h", "d"]], "no rows");
}

async function largeResults() {
  const table = await client.execute("SELECT value AS v, repeat('x', 100) AS s FROM generate_series(1, 200000)");
  let sum = 0n;
  for (const value of table.getChild("v")) sum += value;
  equal([table.numRows, sum], [200000, 20000100000n], "rows of a large result");
}

async function metadata() {
  await rows("CREATE OR REPLACE VIEW node_view AS SELECT a FROM node_types");
  equal(await client.getCatalogs(), ["watershed"], "catalogs");
  const schemas = (await client.getSchemas()).map((found) => found.schema);
  equal(["public", "system"].every((name) => schemas.includes(name)), true, "schemas");
  const place = { catalog: "watershed", schema: "public" };
  const table = { ...place, tableName: "node_types", tableType: "TABLE" };
  equal(await client.getTables("watershed", "public", "node\\_t%"), [table], "tables");
  const view = { ...place, tableName: "node_view", tableType: "VIEW" };
  equal(await client.getTables(undefined, "public", "node%", ["VIEW"]), [view], "views");
  equal((await client.getTableTypes()).sort(), ["SYSTEM TABLE", "TABLE", "VIEW"], "types of tables");
  equal((await client.getSqlInfo([0])).get(0), "Watershed", "the server's name");
}

async function sessions() {
  await rows("SET TIME ZONE 'Europe/Berlin'");
  equal(await rows("SHOW TIME ZONE"), [{ timezone: "Europe/Berlin" }], "a setting of the session");
  await rows("CREATE TEMPORARY TABLE node_mine AS SELECT 1 AS x");
  equal(await rows("SELECT x FROM node_mine"), [{ x: 1n }], "a temporary table");
  await rows("CREATE OR REPLACE TABLE node_rows (id BIGINT)");
  const numbers = [...Array(20).keys()];
  await Promise.all(numbers.map((number) => rows(`INSERT INTO node_rows VALUES (${number})`)));
  equal(await rows("SELECT count(*) AS n, sum(id) AS s FROM node_rows"), [{ n: 20n, s: 190n }], "inserts at once");
  const found = await Promise.all(numbers.map((number) => rows(`SELECT ${number} AS n`)));
  equal(found.map((row) => Number(row[0].n)), numbers, "queries at once");
}

async function errors() {
  await failure(() => rows("SELECT nothing FROM node_types"), /column "nothing" does not exist \(SQLSTATE 42703\)/, "a column");
  await failure(() => rows("SELECT * FROM node_nowhere"), /SQLSTATE 42P01/, "a table");
  // The client sends a prepared statement as an object that its own encoding refuses, and a command without its type.
  await failure(() => client.prepare("SELECT 1"), /serialization failure/, "a prepared statement");
  await failure(() => client.getPrimaryKeys("watershed", "public", "node_types"), /SQLSTATE 0A000/, "a primary key");
  equal(await rows("SELECT 1 AS x"), [{ x: 1n }], "a query after errors");
}

for (const part of [types, largeResults, metadata, sessions, errors]) await part();
await client.close();
