// Arrow's own Java client, as a program uses it: queries, updates, parameters, ingest, metadata, sessions, errors.
// Arguments: URL. WATERSHED_TEST_USER and WATERSHED_TEST_PASSWORD say who asks, WATERSHED_TEST_CA whom to trust.

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.FileInputStream;
import java.math.BigDecimal;
import java.net.URI;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.arrow.flight.CallOption;
import org.apache.arrow.flight.CloseSessionRequest;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.FlightInfo;
import org.apache.arrow.flight.FlightRuntimeException;
import org.apache.arrow.flight.FlightStatusCode;
import org.apache.arrow.flight.FlightStream;
import org.apache.arrow.flight.GetSessionOptionsRequest;
import org.apache.arrow.flight.Location;
import org.apache.arrow.flight.SessionOptionValueFactory;
import org.apache.arrow.flight.SetSessionOptionsRequest;
import org.apache.arrow.flight.auth2.BasicAuthCredentialWriter;
import org.apache.arrow.flight.client.ClientCookieMiddleware;
import org.apache.arrow.flight.grpc.CredentialCallOption;
import org.apache.arrow.flight.sql.FlightSqlClient;
import org.apache.arrow.flight.sql.FlightSqlClient.ExecuteIngestOptions;
import org.apache.arrow.flight.sql.FlightSqlClient.PreparedStatement;
import org.apache.arrow.flight.sql.impl.FlightSql.CommandStatementIngest.TableDefinitionOptions;
import org.apache.arrow.flight.sql.impl.FlightSql.CommandStatementIngest.TableDefinitionOptions.TableExistsOption;
import org.apache.arrow.flight.sql.impl.FlightSql.CommandStatementIngest.TableDefinitionOptions.TableNotExistOption;
import org.apache.arrow.flight.sql.util.TableRef;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.BitVector;
import org.apache.arrow.vector.DateDayVector;
import org.apache.arrow.vector.DecimalVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.TimeStampMicroVector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;

public final class FlightSqlWalk {
  private static final String EVERY_TYPE =
      "a TINYINT, b SMALLINT, c INT, d BIGINT, e FLOAT, f DOUBLE, g DECIMAL(12, 2), h STRING, i BOOLEAN, j BINARY, "
          + "k DATE, l TIMESTAMP, m ARRAY<BIGINT>, n STRUCT<x INT, y STRING>, o JSON";

  private final BufferAllocator allocator;
  private final FlightSqlClient client;
  private final CallOption[] who;

  private FlightSqlWalk(BufferAllocator allocator, FlightSqlClient client, CallOption[] who) {
    this.allocator = allocator;
    this.client = client;
    this.who = who;
  }

  public static void main(String[] arguments) throws Exception {
    try (BufferAllocator allocator = new RootAllocator();
        FlightClient flight = connect(allocator, URI.create(arguments[0]));
        FlightSqlClient client = new FlightSqlClient(flight)) {
      FlightSqlWalk walk = new FlightSqlWalk(allocator, client, login(flight));
      walk.queries();
      walk.updates();
      walk.parameters();
      walk.ingest();
      walk.largeResults();
      walk.metadata();
      walk.sessions();
      walk.errors();
      walk.threads();
      client.closeSession(new CloseSessionRequest(), walk.who);
    }
    System.out.println("right");
  }

  private static FlightClient connect(BufferAllocator allocator, URI url) throws Exception {
    boolean secure = url.getScheme().equals("https");
    Location location =
        secure
            ? Location.forGrpcTls(url.getHost(), url.getPort())
            : Location.forGrpcInsecure(url.getHost(), url.getPort());
    FlightClient.Builder builder = FlightClient.builder(allocator, location).intercept(new ClientCookieMiddleware.Factory());
    if (secure) {
      builder.trustedCertificates(new FileInputStream(System.getenv("WATERSHED_TEST_CA")));
    }
    return builder.build();
  }

  /** The token that a handshake gives; or the credentials alone, which every server takes with each call. */
  private static CallOption[] login(FlightClient flight) {
    String user = System.getenv("WATERSHED_TEST_USER");
    if (user == null) {
      return new CallOption[0];
    }
    String password = System.getenv().getOrDefault("WATERSHED_TEST_PASSWORD", "");
    CredentialCallOption credentials = new CredentialCallOption(new BasicAuthCredentialWriter(user, password));
    return new CallOption[] {flight.authenticateBasicToken(user, password).orElse(credentials)};
  }

  private void queries() throws Exception {
    client.executeUpdate("DROP TABLE IF EXISTS walk", who);
    client.executeUpdate("CREATE TABLE walk (" + EVERY_TYPE + ")", who);
    long written =
        client.executeUpdate(
            "INSERT INTO walk VALUES (1, 2, 3, 9007199254740993, 1.5, 2.5, 1234.56, 'Zoë', true, X'00ff', "
                + "'2024-02-29', '2024-02-29 12:34:56.789012', ARRAY[1, NULL, 3], named_struct('x', 1, 'y', 'z'), "
                + "'{\"k\":1}'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
            who);
    equal(written, 2L, "rows written");
    List<List<Object>> rows = rows("SELECT * FROM walk ORDER BY a");
    List<Object> first = rows.get(0);
    List<Object> plain = new ArrayList<>(first.subList(0, 9));
    List<Object> expected =
        List.of((byte) 1, (short) 2, 3, 9007199254740993L, 1.5f, 2.5, new BigDecimal("1234.56"), "Zoë", true);
    equal(plain, expected, "numbers, strings, flags");
    check(Arrays.equals((byte[]) first.get(9), new byte[] {0, -1}), "bytes");
    equal(first.get(10), 19782, "days since 1970");
    equal(first.get(11), 1709210096789012L, "microseconds since 1970");
    equal(first.get(12).toString(), "[1,null,3]", "a list");
    equal(first.get(13).toString(), "{\"x\":1,\"y\":\"z\"}", "a struct");
    equal(first.get(14), "{\"k\":1}", "JSON");
    check(rows.get(1).stream().allMatch(value -> value == null), "a row of NULLs: " + rows.get(1));
    equal(rows("SELECT a FROM walk WHERE false"), List.of(), "no rows");
    equal(client.getExecuteSchema("SELECT a, h FROM walk", who).getSchema().getFields().size(), 2, "a schema alone");
  }

  private void updates() throws Exception {
    client.executeUpdate("CREATE OR REPLACE TABLE walk_updates (id BIGINT, name STRING)", who);
    equal(client.executeUpdate("INSERT INTO walk_updates SELECT value, 'x' FROM range(5)", who), 5L, "INSERT … SELECT");
    try (Prepared prepared = prepare("INSERT INTO walk_updates VALUES (7, 'y')")) {
      PreparedStatement update = prepared.statement;
      equal(update.getResultSetSchema().getFields().size(), 0, "columns of an update");
      equal(update.executeUpdate(who), 1L, "a prepared update");
    }
    equal(rows("SELECT count(*) FROM walk_updates"), List.of(List.of(6L)), "rows after updates");
  }

  private void parameters() throws Exception {
    client.executeUpdate(
        "CREATE OR REPLACE TABLE walk_values (id BIGINT, name STRING, price DECIMAL(10, 2), at TIMESTAMP, day DATE, w DOUBLE, "
            + "ok BOOLEAN)",
        who);
    LocalDateTime at = LocalDateTime.of(2024, 2, 29, 12, 0);
    try (Prepared prepared = prepare("INSERT INTO walk_values VALUES (?, ?, ?, ?, ?, ?, ?)");
        VectorSchemaRoot values = prepared.values()) {
      PreparedStatement insert = prepared.statement;
      equal(insert.getParameterSchema().getFields().size(), 7, "parameters");
      check(insert.getParameterSchema().getFields().stream().allMatch(field -> field.isNullable()), "NULL for each");
      values.allocateNew();
      BigIntVector id = (BigIntVector) values.getVector(0);
      VarCharVector name = (VarCharVector) values.getVector(1);
      DecimalVector price = (DecimalVector) values.getVector(2);
      FieldVector instant = values.getVector(3);
      DateDayVector day = (DateDayVector) values.getVector(4);
      Float8Vector weight = (Float8Vector) values.getVector(5);
      BitVector ok = (BitVector) values.getVector(6);
      for (int row = 0; row < 3; row++) {
        id.setSafe(row, row + 1);
        name.setSafe(row, ("n" + row).getBytes(UTF_8));
        price.setSafe(row, new BigDecimal(row).setScale(2));
        weight.setSafe(row, row / 2.0);
        ok.setSafe(row, row % 2);
        day.setSafe(row, 19782 + row);
        ((org.apache.arrow.vector.TimeStampVector) instant).setSafe(row, micros(at) + row);
      }
      name.setNull(2);
      values.setRowCount(3);
      insert.setParameters(values);
      equal(insert.executeUpdate(who), 3L, "rows of an insert with values");
    }
    try (Prepared prepared = prepare("SELECT id, price FROM walk_values WHERE id >= ? AND day < ? ORDER BY id");
        VectorSchemaRoot values = prepared.values()) {
      PreparedStatement query = prepared.statement;
      for (long least = 1; least <= 2; least++) {
        values.allocateNew();
        ((BigIntVector) values.getVector(0)).setSafe(0, least);
        ((DateDayVector) values.getVector(1)).setSafe(0, 19784);
        values.setRowCount(1);
        query.setParameters(values);
        List<Long> ids = new ArrayList<>();
        rows(query.execute(who)).forEach(row -> ids.add((Long) row.get(0)));
        equal(ids, least == 1 ? List.of(1L, 2L) : List.of(2L), "a query with values, again");
      }
    }
  }

  private void ingest() throws Exception {
    try (BigIntVector id = new BigIntVector("id", allocator);
        VarCharVector name = new VarCharVector("name", allocator);
        TimeStampMicroVector at = new TimeStampMicroVector("at", allocator)) {
      int count = 10_000;
      for (int row = 0; row < count; row++) {
        id.setSafe(row, row);
        name.setSafe(row, ("n" + row).getBytes(UTF_8));
        at.setSafe(row, row * 1_000_000L);
      }
      try (VectorSchemaRoot rows = new VectorSchemaRoot(List.of((FieldVector) id, name, at))) {
        rows.setRowCount(count);
        for (TableExistsOption exists :
            List.of(
                TableExistsOption.TABLE_EXISTS_OPTION_REPLACE,
                TableExistsOption.TABLE_EXISTS_OPTION_APPEND,
                TableExistsOption.TABLE_EXISTS_OPTION_FAIL)) {
          Callable<Long> load =
              () -> client.executeIngest(rows, into("walk_ingest", exists), who);
          if (exists == TableExistsOption.TABLE_EXISTS_OPTION_FAIL) {
            equal(failure(load).status().code(), FlightStatusCode.ALREADY_EXISTS, "an ingest into a table that exists");
          } else {
            equal(load.call(), (long) count, "rows of an ingest");
          }
        }
      }
    }
    List<Object> expected = List.of(20_000L, 10_000L, 99_990_000L);
    equal(rows("SELECT count(*), count(DISTINCT name), sum(id) FROM walk_ingest"), List.of(expected), "an ingested table");
  }

  private static ExecuteIngestOptions into(String table, TableExistsOption exists) {
    TableDefinitionOptions options =
        TableDefinitionOptions.newBuilder()
            .setIfNotExist(TableNotExistOption.TABLE_NOT_EXIST_OPTION_CREATE)
            .setIfExists(exists)
            .build();
    return new ExecuteIngestOptions(table, options, false, null, "public", Map.of());
  }

  private void largeResults() throws Exception {
    FlightInfo info = client.execute("SELECT value AS v, repeat('x', 100) AS s FROM generate_series(1, 200000)", who);
    equal(info.getEndpoints().size(), 1, "endpoints");
    long count = 0;
    long sum = 0;
    int batches = 0;
    try (FlightStream stream = client.getStream(info.getEndpoints().get(0).getTicket(), who)) {
      while (stream.next()) {
        batches++;
        BigIntVector value = (BigIntVector) stream.getRoot().getVector("v");
        for (int row = 0; row < stream.getRoot().getRowCount(); row++, count++) {
          sum += value.get(row);
        }
      }
    }
    equal(List.of(count, sum), List.of(200_000L, 20_000_100_000L), "rows of a large result");
    check(batches > 1, "a large result comes in several batches");
  }

  private void metadata() throws Exception {
    client.executeUpdate("CREATE OR REPLACE TABLE walk_keys (k BIGINT, v STRING, PRIMARY KEY (k))", who);
    client.executeUpdate("CREATE OR REPLACE VIEW walk_view AS SELECT k FROM walk_keys", who);
    equal(rows(client.getCatalogs(who)), List.of(List.of("watershed")), "catalogs");
    check(rows(client.getSchemas("watershed", "pub%", who)).contains(List.of("watershed", "public")), "schemas");
    equal(column(client.getTables(null, "public", "walk\\_keys", List.of("TABLE"), true, who), 2), Set.of("walk_keys"), "tables");
    equal(column(client.getTables(null, "public", "walk%", List.of("VIEW"), false, who), 2), Set.of("walk_view"), "views");
    equal(column(client.getTableTypes(who), 0), Set.of("TABLE", "VIEW", "SYSTEM TABLE"), "types of tables");
    TableRef keys = TableRef.of("watershed", "public", "walk_keys");
    equal(column(client.getPrimaryKeys(keys, who), 3), Set.of("k"), "a primary key");
    equal(rows(client.getExportedKeys(keys, who)), List.of(), "exported keys");
    equal(rows(client.getImportedKeys(keys, who)), List.of(), "imported keys");
    equal(rows(client.getCrossReference(keys, keys, who)), List.of(), "keys between tables");
    check(rows(client.getXdbcTypeInfo(who)).size() > 5, "types");
    check(rows(client.getSqlInfo(new int[0], who)).size() > 50, "facts about the server");
  }

  private void sessions() throws Exception {
    client.executeUpdate("SET TIME ZONE 'Europe/Berlin'", who);
    equal(rows("SHOW TIME ZONE"), List.of(List.of("Europe/Berlin")), "a setting of the session");
    client.executeUpdate("SET TIME ZONE 'UTC'", who);
    client.executeUpdate("CREATE TEMPORARY TABLE walk_mine AS SELECT 1 AS x", who);
    equal(rows("SELECT x FROM walk_mine"), List.of(List.of(1L)), "a temporary table");
    client.executeUpdate("CREATE SCHEMA IF NOT EXISTS walk_schema", who);
    Map<String, org.apache.arrow.flight.SessionOptionValue> options =
        Map.of("schema", SessionOptionValueFactory.makeSessionOptionValue("walk_schema"));
    check(!client.setSessionOptions(new SetSessionOptionsRequest(options), who).hasErrors(), "an option of the session");
    Set<String> names = client.getSessionOptions(new GetSessionOptionsRequest(), who).getSessionOptions().keySet();
    check(names.contains("schema") && names.contains("catalog"), "options: " + names);
    equal(rows("SELECT current_schema()"), List.of(List.of("walk_schema")), "the session's schema");
    client.executeUpdate("USE public", who);
  }

  private void errors() throws Exception {
    FlightRuntimeException missing = failure(() -> rows("SELECT nothing FROM walk"));
    equal(missing.status().code(), FlightStatusCode.INVALID_ARGUMENT, "a code");
    check(missing.getMessage().contains("SQLSTATE 42703"), missing.getMessage());
    equal(failure(() -> rows("SELECT * FROM walk_nowhere")).status().code(), FlightStatusCode.NOT_FOUND, "a missing table");
    equal(failure(() -> client.beginTransaction(who)).status().code(), FlightStatusCode.UNIMPLEMENTED, "a transaction");
    equal(rows("SELECT 1"), List.of(List.of(1L)), "a query after errors");
  }

  private void threads() throws Exception {
    var pool = Executors.newFixedThreadPool(8);
    try {
      List<Future<Object>> found = new ArrayList<>();
      for (int number = 0; number < 40; number++) {
        String query = "SELECT " + number + " + count(*) FROM walk_ingest";
        found.add(pool.submit(() -> rows(query).get(0).get(0)));
      }
      for (int number = 0; number < 40; number++) {
        equal(found.get(number).get(), 20_000L + number, "queries of several threads");
      }
    } finally {
      pool.shutdown();
    }
  }

  private Prepared prepare(String sql) {
    return new Prepared(client.prepare(sql, who));
  }

  /** A prepared statement whose end is said with credentials: its own `close()` sends none. */
  private final class Prepared implements AutoCloseable {
    private final PreparedStatement statement;

    private Prepared(PreparedStatement statement) {
      this.statement = statement;
    }

    private VectorSchemaRoot values() {
      return VectorSchemaRoot.create(statement.getParameterSchema(), allocator);
    }

    @Override
    public void close() {
      statement.close(who);
    }
  }

  private List<List<Object>> rows(String sql) throws Exception {
    return rows(client.execute(sql, who));
  }

  private List<List<Object>> rows(FlightInfo info) throws Exception {
    List<List<Object>> found = new ArrayList<>();
    for (var endpoint : info.getEndpoints()) {
      try (FlightStream stream = client.getStream(endpoint.getTicket(), who)) {
        while (stream.next()) {
          VectorSchemaRoot root = stream.getRoot();
          for (int row = 0; row < root.getRowCount(); row++) {
            List<Object> values = new ArrayList<>();
            for (FieldVector vector : root.getFieldVectors()) {
              Object value = vector.getObject(row);
              values.add(value instanceof org.apache.arrow.vector.util.Text ? value.toString() : value);
            }
            found.add(values);
          }
        }
      }
    }
    return found;
  }

  private Set<Object> column(FlightInfo info, int number) throws Exception {
    Set<Object> found = new HashSet<>();
    rows(info).forEach(row -> found.add(row.get(number)));
    return found;
  }

  private static long micros(LocalDateTime time) {
    return time.toEpochSecond(java.time.ZoneOffset.UTC) * 1_000_000L;
  }

  private static FlightRuntimeException failure(Callable<?> work) throws Exception {
    try {
      work.call();
    } catch (FlightRuntimeException error) {
      return error;
    }
    throw new AssertionError("an error was expected");
  }

  private static void check(boolean holds, String what) {
    if (!holds) {
      throw new AssertionError(what);
    }
  }

  private static void equal(Object found, Object expected, String what) {
    check(expected.equals(found), what + ": " + expected + " expected, " + found + " found");
  }
}
