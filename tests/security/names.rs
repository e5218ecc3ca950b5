//! What is hidden from a user is as what is not there, and a view's text is for those who may read what the view reads.

use arrow_flight::FlightDescriptor;
use arrow_flight::sql::{
    Command, CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption,
};

use super::{login, secure};
use crate::harness::{Session, Wire, packed, query};

/// What an error says, without the name.
fn told(session: &mut Session, sql: &str, name: &str) -> String {
    match session.query(sql) {
        Ok(table) => panic!("{sql}: {:?}", table.rows()),
        Err(failure) => {
            let mut text = failure.text.replace(name, "NAME");
            if let Some(place) = text.find("position") {
                text.truncate(place);
            }
            text
        }
    }
}

#[test]
fn hidden_objects_are_as_absent_ones() {
    let (cluster, mut admin) = secure();
    for sql in [
        "CREATE USER ada PASSWORD 'hunter22'",
        "CREATE SCHEMA hr",
        "CREATE SCHEMA dark",
        "CREATE TABLE hr.salary (a INT)",
        "CREATE VIEW hr.sampled AS SELECT a FROM hr.salary",
        "CREATE TABLE hr.shown (a INT)",
        "CREATE TABLE dark.salary (a INT)",
        "CREATE TABLE secret (a INT)",
        "GRANT SELECT ON hr.shown TO ada",
    ] {
        admin.run(sql);
    }
    let mut ada = login(&cluster, "ada", "hunter22");
    for form in [
        "SELECT * FROM NAME",
        "SELECT a FROM hr.shown WHERE a IN (SELECT a FROM NAME)",
        "WITH c AS (SELECT * FROM NAME) SELECT 1",
        "EXPLAIN SELECT * FROM NAME",
        "DESCRIBE NAME",
        "SHOW CREATE TABLE NAME",
        "INSERT INTO NAME VALUES (1)",
        "UPDATE NAME SET a = 1",
        "DELETE FROM NAME",
        "DROP TABLE NAME",
        "DROP VIEW NAME",
        "DROP TABLE IF EXISTS NAME",
        "ALTER TABLE NAME ADD COLUMN b INT",
        "CREATE TABLE NAME (a INT)",
        "CREATE TABLE NAME AS SELECT 1 AS a",
        "CREATE OR REPLACE TABLE NAME AS SELECT 1 AS a",
        "CREATE VIEW NAME AS SELECT 1 AS a",
        "CREATE OR REPLACE VIEW NAME AS SELECT 1 AS a",
        "CREATE TEMPORARY VIEW mine AS SELECT * FROM NAME",
        "GRANT SELECT ON NAME TO ada",
        "REVOKE SELECT ON NAME FROM ada",
    ] {
        for (hidden, absent) in [
            ("hr.salary", "hr.absent"),
            ("hr.sampled", "hr.absent"),
            ("dark.salary", "gone.salary"),
            ("secret", "absent"),
        ] {
            let [one, two] = [hidden, absent].map(|name| {
                let text = told(&mut ada, &form.replace("NAME", name), name);
                let schema = name.split_once('.').map_or("public", |(schema, _)| schema);
                text.replace(schema, "SCHEMA")
                    .replace("public.NAME", "NAME")
                    .replace("SCHEMA.NAME", "NAME")
            });
            assert_eq!(one, two, "{form}: {hidden} and {absent}");
        }
    }
    let [one, two] = ["dark", "gone"].map(|name| told(&mut ada, &format!("USE {name}"), name));
    assert_eq!(one, two);
    let [one, two] = ["dark", "gone"].map(|name| told(&mut ada, &format!("SHOW TABLES FROM {name}"), name));
    assert_eq!(one, two);
    // With some privilege on it, what else is needed is said.
    let said = ada.fails("INSERT INTO hr.shown VALUES (1)", "42501");
    assert!(said.contains("GRANT INSERT ON hr.shown TO ada"), "{said}");
    // What ingests find out is no more.
    let wire = Wire::open_with(cluster.flight(), "ada", "hunter22");
    let ingest = |table: &str, if_not_exist: TableNotExistOption, if_exists: TableExistsOption| {
        let command = packed(Command::CommandStatementIngest(CommandStatementIngest {
            table: table.to_owned(),
            table_definition_options: Some(TableDefinitionOptions {
                if_not_exist: if_not_exist as i32,
                if_exists: if_exists as i32,
            }),
            ..CommandStatementIngest::default()
        }));
        let rows = arrow::array::RecordBatch::try_from_iter([(
            "a",
            std::sync::Arc::new(arrow::array::Int32Array::from(vec![1])) as _,
        )]);
        let status = wire
            .put(crate::harness::frames(&command, Some(&rows.unwrap())))
            .unwrap_err();
        status.message().replace(table, "NAME")
    };
    for (if_not_exist, if_exists) in [
        (TableNotExistOption::Create, TableExistsOption::Fail),
        (TableNotExistOption::Create, TableExistsOption::Replace),
        (TableNotExistOption::Fail, TableExistsOption::Append),
    ] {
        let one = ingest("secret", if_not_exist, if_exists);
        assert_eq!(one, ingest("absent", if_not_exist, if_exists));
    }
}

#[test]
fn the_text_of_a_view_is_for_those_who_may_read_what_it_reads() {
    let (cluster, mut admin) = secure();
    for sql in [
        "CREATE USER ada PASSWORD 'hunter22'",
        "CREATE USER bob PASSWORD 'hunter22'",
        "CREATE USER eve PASSWORD 'hunter22'",
        "CREATE SCHEMA hr",
        "CREATE TABLE hr.pay (id BIGINT, who STRING)",
        "GRANT SELECT ON hr.pay TO ada",
        "GRANT SELECT ON hr.pay TO eve",
        "GRANT CREATE ON SCHEMA hr TO ada",
    ] {
        admin.run(sql);
    }
    let mut ada = login(&cluster, "ada", "hunter22");
    ada.run("CREATE VIEW hr.few AS SELECT id FROM hr.pay WHERE who <> 'the boss'");
    for user in ["bob", "eve"] {
        admin.run(&format!("GRANT SELECT ON hr.few TO {user}"));
    }
    let text = "SELECT view_definition FROM information_schema.views WHERE table_name = 'few'";
    for (user, shown) in [("ada", true), ("eve", true), ("bob", false)] {
        let mut session = login(&cluster, user, "hunter22");
        if user == "ada" {
            admin.run("GRANT SELECT ON hr.few TO ada");
        }
        let value = session.value(text);
        assert_eq!(value.contains("the boss"), shown, "{user}: {value}");
        match shown {
            true => assert!(
                session
                    .rows("SHOW CREATE VIEW hr.few")
                    .concat()
                    .concat()
                    .contains("the boss")
            ),
            false => {
                let said = session.fails("SHOW CREATE VIEW hr.few", "42501");
                assert!(!said.contains("the boss"), "{said}");
                assert_eq!(value, "NULL");
            }
        }
        assert_eq!(session.rows("DESCRIBE hr.few")[0][0], "id");
    }
    assert!(admin.value(text).contains("the boss"));
    // It is hidden from whoever loses the right, too.
    admin.run("REVOKE SELECT ON hr.pay FROM eve");
    login(&cluster, "eve", "hunter22").fails("SHOW CREATE VIEW hr.few", "42501");
}

#[test]
fn malformed_commands_are_refused_in_words_of_sql() {
    let (cluster, _admin) = secure();
    let wire = Wire::open_with(cluster.flight(), "admin", super::ADMIN_PASSWORD);
    let whole = query("SELECT 1");
    for cut in [1, 5, 20, whole.len() - 1] {
        let command = &whole[..cut];
        let mut messages = Vec::new();
        let request = wire.request(FlightDescriptor::new_cmd(command.to_vec()));
        let mut client = wire.client();
        messages.push(("poll", wire.wait(client.poll_flight_info(request)).map(drop)));
        messages.push(("info", wire.info(command).map(drop)));
        messages.push(("schema", wire.schema(command).map(drop)));
        messages.push(("get", wire.get(command).map(drop)));
        messages.push(("put", wire.put(crate::harness::frames(command, None)).map(drop)));
        for kind in ["CancelQuery", "CreatePreparedStatement", "ClosePreparedStatement"] {
            messages.push((kind, wire.act(kind, command).map(drop)));
        }
        for (call, answer) in messages {
            let status = answer.expect_err(call);
            let text = status.message();
            assert!(text.contains("SQLSTATE "), "{call}: {text}");
            for word in ["DecodeError", "ParseError", "BufferUnderflow", "stack:"] {
                assert!(!text.contains(word), "{call}: {text}");
            }
        }
    }
    let (status, body) =
        crate::harness::get_with(&format!("{}/v1/results?sql=a&sql=b", cluster.http()), None, &[]);
    assert_eq!(status, 400);
    let told: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(told["code"], "22023", "{body}");
}

/// A view over the catalog's own views and columns is not planned to plan itself.
#[test]
fn views_over_the_views_are_planned_once() {
    let (cluster, mut admin) = secure();
    for sql in [
        "CREATE USER ada PASSWORD 'hunter22'",
        "CREATE SCHEMA meta",
        "CREATE TABLE meta.t (a INT)",
        "CREATE VIEW meta.of_views AS SELECT table_name, view_definition FROM information_schema.views",
        "CREATE VIEW meta.of_those AS SELECT * FROM meta.of_views",
        "GRANT SELECT ON meta.of_views TO ada",
        "GRANT SELECT ON meta.of_those TO ada",
    ] {
        admin.run(sql);
    }
    for number in 0..8 {
        admin.run(&format!(
            "CREATE VIEW meta.columns_{number} AS SELECT column_name FROM information_schema.columns"
        ));
        admin.run(&format!("GRANT SELECT ON meta.columns_{number} TO ada"));
    }
    let mut ada = login(&cluster, "ada", "hunter22");
    for sql in [
        "SELECT count(*) FROM information_schema.views",
        "SELECT count(*) FROM meta.of_views",
        "SELECT count(*) FROM meta.of_those",
        "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'meta'",
        "SELECT count(*) FROM meta.columns_3",
    ] {
        assert_ne!(ada.value(sql), "0", "{sql}");
        assert_ne!(admin.value(sql), "0", "{sql}");
    }
    // Everybody may read what it reads.
    assert_eq!(ada.rows("SHOW CREATE VIEW meta.of_views").len(), 1);
}
