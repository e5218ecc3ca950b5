// @lakehouse-rs/flight-sql-client: statements and metadata, as bytes that apache-arrow reads. Arguments: URL.

import flight from "@lakehouse-rs/flight-sql-client";
import { tableFromIPC } from "apache-arrow";
import { address, credentials, equal, failure } from "./checks.mjs";

const client = await flight.createFlightSqlClient({ ...address(), ...credentials(), tls: false, headers: [] });
const rows = async (sql) => read(await client.query(sql));
const read = (bytes) => tableFromIPC(bytes).toArray().map((row) => row.toJSON());

await rows("CREATE OR REPLACE TABLE node_plays (id BIGINT, title STRING, day DATE)");
await rows("INSERT INTO node_plays VALUES (1, 'Zoë ''q''', '2024-02-29'), (9007199254740993, NULL, NULL)");
equal(
  await rows("SELECT id, title, day FROM node_plays ORDER BY id"),
  [
    { id: 1n, title: "Zoë 'q'", day: new Date(Date.UTC(2024, 1, 29)) },
    { id: 9007199254740993n, title: null, day: null },
  ],
  "rows",
);
equal(await rows("SELECT title FROM node_plays WHERE false"), [], "no rows");
const large = tableFromIPC(await client.query("SELECT value AS v, repeat('x', 100) AS s FROM generate_series(1, 200000)"));
let sum = 0n;
for (const value of large.getChild("v")) sum += value;
equal([large.numRows, sum], [200000, 20000100000n], "rows of a large result");
equal(read(await client.getCatalogs()), [{ catalog_name: "watershed" }], "catalogs");
const schemas = read(await client.getDbSchemas({ dbSchemaFilterPattern: "pub%" }));
equal(schemas, [{ catalog_name: "watershed", db_schema_name: "public" }], "schemas");
const tables = read(await client.getTables({ dbSchemaFilterPattern: "public", tableNameFilterPattern: "node\\_p%" }));
equal(tables.map((table) => [table.table_name, table.table_type]), [["node_plays", "TABLE"]], "tables");
// It says that a statement failed, and not why.
await failure(() => rows("SELECT nothing FROM node_plays"), /failed to prepare statement/, "an error");
equal(await rows("SELECT 1 AS x"), [{ x: 1n }], "a query after an error");
