//! Users, roles, tokens and grants, by statements, and what others may then do.

use chrono::{TimeZone, Utc};

use super::*;
use crate::catalog::{PasswordHash, PrincipalOp, Scope, TokenDef, UserDef};

/// As the scheduler does it, but for the hashes.
pub(super) fn stored(credential: Credential) -> Op {
    let at = Utc.timestamp_opt(1_000_000, 0).unwrap();
    Op::Principal(match credential {
        Credential::CreateUser {
            name,
            if_not_exists,
            password,
        } => PrincipalOp::CreateUser {
            def: UserDef {
                name,
                password: password.map(|password| PasswordHash::new(password.expose().len().to_string())),
                created_at: at,
            },
            if_not_exists,
        },
        Credential::SetPassword { user, password } => PrincipalOp::SetPassword {
            user,
            password: PasswordHash::new(password.expose().len().to_string()),
        },
        Credential::CreateToken { user, name, lifetime } => PrincipalOp::CreateToken(TokenDef {
            digest: format!("{user} {name}"),
            user,
            name,
            created_at: at,
            expires_at: at + lifetime,
        }),
    })
}

/// It is not allowed, or is about what whoever asks may not know of.
#[track_caller]
fn assert_refused(sql: &str, error: &watershed_core::Error) {
    let code = error.code().as_str();
    assert!(["42501", "42P01", "3F000"].contains(&code), "{sql}: {error:?}");
    let hidden = error
        .detail()
        .is_some_and(|detail| detail.contains("you have no privilege on it"));
    assert_eq!(code != "42501", hidden, "{sql}: {error:?}");
}

impl Fixture {
    fn becomes(&mut self, user: &str) {
        self.user = (user != "tester").then(|| user.to_owned());
    }
}

#[tokio::test]
async fn users_and_roles_come_and_go() {
    let mut fixture = Fixture::new().await;
    fixture
        .all(&[
            "CREATE USER ada PASSWORD 'hunter22'",
            "CREATE USER \"Bob\"",
            "CREATE ROLE readers",
            "CREATE ROLE writers",
            "GRANT readers TO writers",
            "GRANT writers, admin TO ada",
        ])
        .await;
    fixture
        .check("CREATE USER IF NOT EXISTS ada", &["user \"ada\" exists already"])
        .await;
    fixture
        .check("DROP ROLE IF EXISTS nobody", &["role \"nobody\" does not exist"])
        .await;
    for (sql, code) in [
        ("CREATE USER ada", "42710"),
        ("CREATE ROLE ada", "42710"),
        ("CREATE USER admin PASSWORD 'hunter22'", "42710"),
        ("CREATE USER current_user", "22023"),
        ("CREATE USER \"a:b\"", "22023"),
        ("ALTER USER admin PASSWORD 'hunter22'", "0A000"),
        ("ALTER USER readers PASSWORD 'hunter22'", "42809"),
        ("DROP ROLE public", "0A000"),
        ("DROP USER admin", "0A000"),
        ("GRANT writers TO readers", "22023"),
        ("GRANT readers TO readers", "22023"),
        ("GRANT public TO ada", "22023"),
        ("GRANT admin TO public", "22023"),
        ("GRANT ada TO readers", "42809"),
    ] {
        fixture.refused(sql, code).await;
    }
    let error = fixture.refused("GRANT reader TO ada", "42704").await;
    assert_eq!(error.hint(), Some("Did you mean \"readers\"?"));
    let error = fixture.refused("DROP USER ade", "42704").await;
    assert_eq!(error.hint(), Some("Did you mean \"ada\"?"));
    fixture
        .check(
            "SHOW ROLES",
            &["admin|ada", "public|NULL", "readers|writers", "writers|ada"],
        )
        .await;
    let principals = fixture.store.current().principals.effective("ada");
    assert_eq!(
        principals.iter().map(String::as_str).collect::<Vec<_>>(),
        ["ada", "admin", "public", "readers", "writers"]
    );
    fixture.all(&["DROP ROLE writers"]).await;
    fixture
        .check("SHOW ROLES", &["admin|ada", "public|NULL", "readers|NULL"])
        .await;
    assert_eq!(fixture.run("SHOW USERS").await.unwrap().len(), 2);
    fixture.all(&["DROP USER ada", "CREATE USER ada"]).await;
    assert!(
        !fixture
            .store
            .current()
            .principals
            .effective("ada")
            .contains("admin")
    );
}

#[tokio::test]
async fn tokens_are_bounded_and_make_room_once_they_expired() {
    let mut fixture = Fixture::new().await;
    fixture
        .all(&[
            "CREATE USER ada",
            "CREATE TOKEN FOR ada",
            "CREATE TOKEN FOR ada EXPIRES IN '1d'",
        ])
        .await;
    fixture
        .check(
            "SHOW TOKENS",
            &[
                "ada|token_1|1970-01-12T13:46:40+00:00|1970-04-12T13:46:40+00:00",
                "ada|token_2|1970-01-12T13:46:40+00:00|1970-01-13T13:46:40+00:00",
            ],
        )
        .await;
    for (sql, code) in [
        ("CREATE TOKEN token_1 FOR ada", "42710"),
        ("CREATE TOKEN x FOR nobody", "42704"),
        ("CREATE TOKEN x FOR ada EXPIRES '367d'", "22023"),
        ("CREATE TOKEN x FOR ada EXPIRES '0'", "22023"),
        ("CREATE TOKEN x FOR ada EXPIRES NEVER", "0A000"),
        ("DROP TOKEN token_3 FOR ada", "42704"),
    ] {
        fixture.refused(sql, code).await;
    }
    let token = |name: &str, created: i64| {
        let at = |seconds| Utc.timestamp_opt(seconds, 0).unwrap();
        Op::Principal(PrincipalOp::CreateToken(TokenDef {
            user: "ada".to_owned(),
            name: name.to_owned(),
            digest: name.to_owned(),
            created_at: at(created),
            expires_at: at(created + 10),
        }))
    };
    for number in 3..=100 {
        fixture
            .store
            .apply(token(&number.to_string(), 2_000_000))
            .await
            .unwrap();
    }
    let count = |fixture: &Fixture| fixture.store.current().principals.tokens_of("ada").count();
    // One of the first two had expired by then.
    assert_eq!(count(&fixture), 99);
    fixture.store.apply(token("more", 2_000_000)).await.unwrap();
    let full = fixture
        .store
        .apply(token("too many", 2_000_000))
        .await
        .unwrap_err();
    assert_eq!(full.code().as_str(), "53000");
    fixture.store.apply(token("later", 2_000_010)).await.unwrap();
    assert_eq!(count(&fixture), 2);
    assert!(
        fixture
            .store
            .current()
            .principals
            .token_by_digest("more")
            .is_none()
    );
    fixture.all(&["DROP USER ada"]).await;
    assert_eq!(fixture.store.current().principals.tokens().count(), 0);
    assert!(
        fixture
            .store
            .current()
            .principals
            .token_by_digest("later")
            .is_none()
    );
}

#[tokio::test]
async fn what_others_may_do() {
    let mut fixture = Fixture::new().await;
    fixture
        .all(&[
            "CREATE USER ada",
            "CREATE ROLE readers",
            "GRANT readers TO ada",
            "CREATE SCHEMA s",
            "CREATE TABLE s.t (a INT, b INT)",
            "CREATE TABLE s.u (a INT)",
            "CREATE VIEW s.v AS SELECT a FROM s.t",
        ])
        .await;
    let mut allowed = async |grant: &str, sql: &str| {
        fixture.becomes("tester");
        if !grant.is_empty() {
            fixture.all(&[grant]).await;
        }
        fixture.becomes("ada");
        fixture.plan(sql).await.map(drop)
    };
    // Each is refused, and allowed by the grant.
    for (grant, sql) in [
        ("GRANT SELECT ON s.v TO ada", "SELECT * FROM s.v"),
        ("GRANT SELECT ON TABLE s.t TO readers", "SELECT * FROM s.t"),
        (
            "GRANT SELECT ON s.u TO ada",
            "EXPLAIN SELECT * FROM (SELECT 1) WHERE EXISTS (SELECT * FROM s.u)",
        ),
        ("GRANT INSERT ON s.u TO ada", "INSERT INTO s.u SELECT a FROM s.t"),
        (
            "GRANT CREATE ON SCHEMA s TO ada",
            "CREATE TABLE s.w AS SELECT * FROM s.t",
        ),
        ("GRANT ALTER ON s.t TO ada", "ALTER TABLE s.t ADD COLUMN c INT"),
        ("GRANT DROP ON s.v TO ada", "DROP VIEW s.v"),
        ("GRANT CREATE ON CATALOG watershed TO ada", "CREATE SCHEMA r"),
        ("GRANT DROP ON SCHEMA s TO ada", "DROP SCHEMA s CASCADE"),
        (
            "GRANT INSERT ON service_registry TO ada",
            "INSERT INTO service_registry VALUES ('a', 'b', 'c', 1, 'd', now())",
        ),
        (
            "GRANT ALL ON SCHEMA public TO ada",
            "CREATE OR REPLACE VIEW unified_metrics AS SELECT 1 AS a",
        ),
        (
            "GRANT admin TO readers",
            "CREATE EXTERNAL TABLE e STORED AS CSV LOCATION '/etc/passwd'",
        ),
    ] {
        let error = allowed("", sql).await.expect_err(sql);
        assert_refused(sql, &error);
        allowed(grant, sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

#[tokio::test]
async fn what_needs_no_privilege_and_what_none_gives() {
    let mut fixture = Fixture::new().await;
    fixture
        .all(&[
            "CREATE USER ada",
            "CREATE USER bob",
            "CREATE TABLE secret (a INT, b INT)",
        ])
        .await;
    fixture.becomes("ada");
    for sql in [
        "SELECT 1",
        "WITH secret AS (SELECT 1 AS a) SELECT a FROM secret",
        "SELECT * FROM system.queries",
        "SELECT * FROM service_registry",
        "SELECT * FROM information_schema.tables",
        "SET statement_timeout = '1s'",
        "SHOW ALL",
        "SHOW GRANTS FOR ada",
        "SET PASSWORD = 'hunter22'",
        "ALTER USER ada PASSWORD 'hunter22'",
        "CREATE TOKEN",
        "DROP TOKEN t FOR ada",
    ] {
        fixture
            .plan(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    for sql in [
        "SELECT c FROM secret",
        "INSERT INTO secret (c) VALUES (1)",
        "DESCRIBE secret",
        "SHOW CREATE TABLE secret",
        "CREATE VIEW v AS SELECT * FROM secret",
        "SELECT * FROM system.shards",
        "SET PASSWORD FOR bob = 'hunter22'",
        "CREATE TOKEN FOR bob",
        "DROP TOKEN t FOR bob",
        "SHOW GRANTS FOR bob",
        "SHOW GRANTS FOR nobody",
        "CREATE USER eve",
        "DROP USER bob",
        "CREATE ROLE r",
        "GRANT admin TO ada",
        "GRANT SELECT ON secret TO ada",
        "REVOKE SELECT ON secret FROM ada",
    ] {
        let error = fixture.plan(sql).await.expect_err(sql);
        assert_refused(sql, &error);
    }
    // With no privilege on it, it is as one that is not there; with another one, what is needed is said.
    let error = fixture.refused("SELECT * FROM secret", "42P01").await;
    let absent = fixture.refused("SELECT * FROM absent", "42P01").await;
    assert_eq!(error.message().replace("secret", "absent"), absent.message());
    assert_eq!((error.hint(), error.detail()), (absent.hint(), absent.detail()));
    fixture.becomes("tester");
    fixture.all(&["GRANT INSERT ON secret TO ada"]).await;
    fixture.becomes("ada");
    let error = fixture.refused("SELECT * FROM secret", "42501").await;
    assert_eq!(error.message(), "permission denied: SELECT on \"public.secret\"");
    assert_eq!(
        error.hint(),
        Some("A member of role admin can GRANT SELECT ON public.secret TO ada.")
    );
    fixture.becomes("tester");
    fixture.all(&["REVOKE INSERT ON secret FROM ada"]).await;
    fixture.becomes("ada");
    fixture
        .check("SELECT current_user, session_user", &["ada|ada"])
        .await;
    fixture
        .check("SHOW TABLES", &["public|service_registry|LIVE TABLE"])
        .await;
    fixture
        .check("SHOW SCHEMAS", &["information_schema", "public", "system"])
        .await;
    fixture
        .check(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
            &["service_registry"],
        )
        .await;
    fixture
        .check(
            "SELECT DISTINCT table_name FROM information_schema.columns WHERE table_schema = 'public'",
            &["service_registry"],
        )
        .await;
    assert_eq!(fixture.run("SHOW USERS").await.unwrap().len(), 1);
    // Whoever is dropped may do nothing more.
    fixture.becomes("tester");
    fixture.all(&["DROP USER ada"]).await;
    fixture.becomes("ada");
    fixture.refused("SELECT 1", "28000").await;
}

#[tokio::test]
async fn grants_go_with_what_they_are_on() {
    let mut fixture = Fixture::new().await;
    fixture
        .all(&[
            "CREATE USER ada",
            "CREATE SCHEMA s",
            "CREATE TABLE s.t (a INT)",
            "GRANT SELECT, INSERT ON s.t TO ada",
            "GRANT ALL PRIVILEGES ON SCHEMA s TO ada",
            "GRANT SELECT, UPDATE, DELETE ON CATALOG watershed TO ada",
            "REVOKE UPDATE, ALTER, DROP, CREATE ON SCHEMA s FROM ada",
        ])
        .await;
    let shown = "SHOW GRANTS FOR ada";
    let own = |lines: Vec<String>| -> Vec<String> {
        let own = lines.into_iter().filter(|line| line.starts_with("ada|"));
        own.collect()
    };
    let catalog = [
        "ada|SELECT|CATALOG|watershed",
        "ada|UPDATE|CATALOG|watershed",
        "ada|DELETE|CATALOG|watershed",
    ];
    let schema = [
        "ada|SELECT|SCHEMA|s",
        "ada|INSERT|SCHEMA|s",
        "ada|DELETE|SCHEMA|s",
    ];
    let lines = own(fixture.run(shown).await.unwrap());
    let expected = [
        &catalog[..],
        &schema[..],
        &["ada|SELECT|TABLE|s.t", "ada|INSERT|TABLE|s.t"],
    ]
    .concat();
    assert_eq!(lines, expected);

    fixture.all(&["ALTER TABLE s.t RENAME TO u"]).await;
    let lines = own(fixture.run(shown).await.unwrap());
    let expected = [
        &catalog[..],
        &schema[..],
        &["ada|SELECT|TABLE|s.u", "ada|INSERT|TABLE|s.u"],
    ]
    .concat();
    assert_eq!(lines, expected);

    fixture.all(&["DROP TABLE s.u", "CREATE TABLE s.u (a INT)"]).await;
    let lines = own(fixture.run(shown).await.unwrap());
    assert_eq!(lines, [&catalog[..], &schema[..]].concat());

    fixture.all(&["DROP SCHEMA s CASCADE"]).await;
    assert_eq!(own(fixture.run(shown).await.unwrap()), catalog);

    // What remains by a wider grant is told.
    fixture
        .all(&["CREATE TABLE t (a INT)", "GRANT SELECT ON t TO ada"])
        .await;
    fixture
        .check(
            "REVOKE SELECT ON t FROM ada",
            &["what was revoked is still allowed by a role or by a wider grant"],
        )
        .await;
    fixture
        .check(
            "GRANT SELECT ON CATALOG watershed TO ada",
            &["every one of them has these privileges already"],
        )
        .await;
    // What everyone may read at first can be taken away.
    fixture
        .all(&["REVOKE SELECT ON system.executors FROM public"])
        .await;
    let access = crate::authorize::Access::of(&fixture.store.current().principals, "admin").unwrap();
    assert!(access.is_admin());
    fixture.all(&["CREATE USER bob"]).await;
    fixture.becomes("bob");
    fixture.refused("SELECT * FROM system.executors", "42P01").await;
    let scope = Scope::object("system", "settings");
    let access = crate::authorize::Access::of(&fixture.store.current().principals, "bob").unwrap();
    assert!(access.allows(crate::catalog::Privilege::Select, &scope));
}

#[tokio::test]
async fn mistakes_in_grants() {
    let mut fixture = Fixture::new().await;
    fixture.all(&["CREATE USER ada", "CREATE TABLE t (a INT)"]).await;
    for (sql, code) in [
        ("GRANT SELECT (a) ON t TO ada", "0A000"),
        ("GRANT SELECT ON t TO ada WITH GRANT OPTION", "0A000"),
        ("GRANT SELECT ON ALL TABLES IN SCHEMA public TO ada", "0A000"),
        ("REVOKE GRANT OPTION FOR SELECT ON t FROM ada", "0A000"),
        ("GRANT CREATE ON t TO ada", "42601"),
        ("GRANT SELECT ON CATALOG other TO ada", "3D000"),
        ("GRANT SELECT ON SCHEMA other TO ada", "3F000"),
        ("GRANT SELECT ON u TO ada", "42P01"),
        ("GRANT SELECT ON information_schema.tables TO ada", "42809"),
        ("GRANT SELECT ON t TO nobody", "42704"),
        ("GRANT SELECT ON t FROM ada", "42601"),
        ("REVOKE SELECT ON t FROM admin", "0A000"),
    ] {
        fixture.refused(sql, code).await;
    }
    let error = fixture.refused("GRANT SELCT ON t TO ada", "42601").await;
    assert_eq!(error.hint(), Some("Did you mean SELECT?"));
    assert_eq!(error.position().unwrap().column, 7);
}

#[tokio::test]
async fn no_error_and_no_plan_shows_a_password() {
    let mut fixture = Fixture::new().await;
    for sql in [
        "CREATE USER ada PASSWORD hunter22",
        "CREATE USER ada PASSWORD \"hunter22\"",
        "CREATE USER ada PASSWORD 'x' 'hunter22'",
        "CREATE USER ada PASSWORD 'x' hunter22",
        "ALTER USER ada PASSWORD $$hunter22$$",
        "SET PASSWORD 'hunter22'",
        "SET PASSWORD = hunter22",
    ] {
        let error = fixture.refused(sql, "42601").await;
        assert!(!format!("{error:?}").contains("hunter22"), "{sql}: {error:?}");
    }
    let plan = fixture.plan("CREATE USER ada PASSWORD 'hunter22'").await.unwrap();
    assert!(!format!("{plan:?}").contains("hunter22"), "{plan:?}");
    let parsed = parse("CREATE USER ada PASSWORD 'hunter22'").unwrap();
    assert!(!format!("{parsed:?}").contains("hunter22"), "{parsed:?}");
    let op = stored(match plan {
        Plan::Credential(credential) => credential,
        other => panic!("{other:?}"),
    });
    assert!(format!("{op:?}").contains("PasswordHash(…)"), "{op:?}");
}
