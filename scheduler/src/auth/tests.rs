//! Logins against a catalog, with a clock that is moved.

use chrono::TimeDelta;
use tempfile::TempDir;
use watershed_core::clock::ManualClock;
use watershed_core::store::StoreRoot;
use watershed_sql::catalog::{Op, PrincipalOp};

use super::*;

struct Fixture {
    _folder: TempDir,
    clock: Arc<ManualClock>,
    store: CatalogStore,
    logins: Logins,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = StoreRoot::open(folder.path().to_str().unwrap()).unwrap();
        let store = CatalogStore::open(&root).await.unwrap();
        let clock = Arc::new(ManualClock::default());
        let policy = Policy::Users {
            admin_password: Some(Secret::new("opensesame")),
        };
        let logins = Logins::start(policy, &store.current(), Arc::<ManualClock>::clone(&clock))
            .await
            .unwrap();
        Self {
            _folder: folder,
            clock,
            store,
            logins,
        }
    }

    async fn apply(&self, op: PrincipalOp) {
        self.store.apply(Op::Principal(op)).await.unwrap();
    }

    async fn create(&self, name: &str, password: Option<&str>) {
        let password = match password {
            Some(password) => Some(self.logins.hash(&Secret::new(password)).await.unwrap()),
            None => None,
        };
        let def = UserDef {
            name: name.to_owned(),
            password,
            created_at: self.clock.now(),
        };
        self.apply(PrincipalOp::CreateUser {
            def,
            if_not_exists: false,
        })
        .await;
    }

    async fn token(&self, user: &str, name: &str) -> String {
        let token = NewToken::generate().unwrap();
        let now = self.clock.now();
        self.apply(PrincipalOp::CreateToken(TokenDef {
            user: user.to_owned(),
            name: name.to_owned(),
            digest: token.digest.clone(),
            created_at: now,
            expires_at: now + TimeDelta::hours(1),
        }))
        .await;
        token.secret.expose().to_owned()
    }

    async fn drop_user(&self, name: &str) {
        self.apply(PrincipalOp::DropUser {
            name: name.to_owned(),
            if_exists: false,
        })
        .await;
    }

    async fn login(&self, credentials: Credentials) -> Result<Login> {
        let peer = Some("127.0.0.1".parse().unwrap());
        self.logins.authenticate(&self.store, &credentials, peer).await
    }

    fn holds(&self, login: &Login) -> bool {
        self.logins
            .check(&self.store.current(), login, Duration::ZERO)
            .is_ok()
    }
}

fn password(user: &str, password: &str) -> Credentials {
    Credentials::Password {
        user: user.to_owned(),
        password: password.to_owned(),
    }
}

fn code<T>(result: Result<T>) -> &'static str {
    match result {
        Ok(_) => "let in",
        Err(error) => error.code().as_str(),
    }
}

#[tokio::test]
async fn passwords_and_tokens_let_in() {
    let fixture = Fixture::new().await;
    fixture.create("ada", Some("hunter22")).await;
    fixture.create("bob", None).await;
    let token = fixture.token("bob", "t").await;
    for (credentials, expected) in [
        (password("admin", "opensesame"), "admin"),
        (password("ada", "hunter22"), "ada"),
        (Credentials::Token(token.clone()), "bob"),
        (password("bob", &token), "bob"),
        (password("", &token), "bob"),
        (password("token", &token), "bob"),
    ] {
        let login = fixture.login(credentials).await.unwrap();
        assert_eq!(login.principal.name(), expected);
        assert!(fixture.holds(&login));
    }
    for (credentials, expected) in [
        (Credentials::Anonymous, "28000"),
        (Credentials::Token("None".to_owned()), "28000"),
        (Credentials::Token("wst_x".to_owned()), "28000"),
        (password("admin", "hunter22"), "28P01"),
        (password("ada", "hunter23"), "28P01"),
        (password("ada", ""), "28P01"),
        (password("bob", ""), "28P01"),
        (password("eve", "hunter22"), "28P01"),
        (password("Ada", "hunter22"), "28P01"),
        (password(&"x".repeat(1_000), "hunter22"), "28P01"),
        (password("ada", &"x".repeat(100_000)), "28P01"),
    ] {
        assert_eq!(
            code(fixture.login(credentials.clone()).await),
            expected,
            "{credentials:?}"
        );
    }
    let short = fixture.logins.hash(&Secret::new("short")).await;
    assert_eq!(code(short), "22023");
    assert_eq!(code(fixture.logins.hash(&Secret::new(token)).await), "22023");
}

#[tokio::test]
async fn a_login_ends_with_what_it_rests_on() {
    let fixture = Fixture::new().await;
    fixture.create("ada", Some("hunter22")).await;
    let by_password = fixture.login(password("ada", "hunter22")).await.unwrap();
    let secret = fixture.token("ada", "t").await;
    let by_token = fixture.login(Credentials::Token(secret.clone())).await.unwrap();
    let too_old = LOGIN_LIFETIME + Duration::from_secs(1);
    assert_eq!(
        code(
            fixture
                .logins
                .check(&fixture.store.current(), &by_password, too_old)
        ),
        "28000"
    );

    fixture
        .apply(PrincipalOp::SetPassword {
            user: "ada".to_owned(),
            password: fixture.logins.hash(&Secret::new("hunter23")).await.unwrap(),
        })
        .await;
    assert!(!fixture.holds(&by_password));
    assert!(fixture.holds(&by_token));
    assert_eq!(code(fixture.login(password("ada", "hunter22")).await), "28P01");
    let by_password = fixture.login(password("ada", "hunter23")).await.unwrap();

    fixture.clock.advance(Duration::from_secs(3_601));
    assert!(!fixture.holds(&by_token));
    assert_eq!(code(fixture.login(Credentials::Token(secret)).await), "28000");
    let secret = fixture.token("ada", "t").await;
    let by_token = fixture.login(Credentials::Token(secret.clone())).await.unwrap();
    fixture
        .apply(PrincipalOp::DropToken {
            user: "ada".to_owned(),
            token: "t".to_owned(),
            if_exists: false,
        })
        .await;
    assert!(!fixture.holds(&by_token));
    assert_eq!(code(fixture.login(Credentials::Token(secret)).await), "28000");

    // Another user of the same name, with the same password, is another user.
    assert!(fixture.holds(&by_password));
    fixture.drop_user("ada").await;
    assert!(!fixture.holds(&by_password));
    fixture.create("ada", Some("hunter23")).await;
    assert!(!fixture.holds(&by_password));
    let forged = Login {
        principal: Principal::new("ada"),
        proof: "password AAAA".to_owned(),
    };
    assert!(!fixture.holds(&forged));
}

#[tokio::test]
async fn who_guesses_runs_out_of_tries_and_others_do_not() {
    let fixture = Fixture::new().await;
    fixture.create("ada", Some("hunter22")).await;
    let elsewhere = Some("10.0.0.9".parse().unwrap());
    let mut wrong = 0;
    let refused = loop {
        let error = fixture.login(password("ada", "wrong")).await.unwrap_err();
        if error.code() != SqlState::InvalidPassword {
            break error;
        }
        wrong += 1;
        assert!(wrong < 100);
    };
    assert_eq!((refused.code().as_str(), wrong), ("53300", 10));
    let right = password("ada", "hunter22");
    assert_eq!(code(fixture.login(right.clone()).await), "53300");
    let login = fixture
        .logins
        .authenticate(&fixture.store, &right, elsewhere)
        .await;
    assert_eq!(login.unwrap().principal.name(), "ada");
    fixture.clock.advance(Duration::from_secs(31));
    fixture.login(right.clone()).await.unwrap();
    for _ in 0..9 {
        assert_eq!(code(fixture.login(password("ada", "wrong")).await), "28P01");
    }
    // Many at once with the right password never count as guesses.
    let many = futures::future::join_all((0..50).map(|_| fixture.login(right.clone()))).await;
    assert!(many.iter().all(Result::is_ok));
}

#[tokio::test]
async fn without_anyone_who_could_manage_users_it_does_not_start() {
    let fixture = Fixture::new().await;
    let start = async |admin_password: Option<&str>| {
        let policy = Policy::Users {
            admin_password: admin_password.map(Secret::new),
        };
        let clock = Arc::<ManualClock>::clone(&fixture.clock);
        Logins::start(policy, &fixture.store.current(), clock)
            .await
            .map(drop)
    };
    assert_eq!(code(start(None).await), "22023");
    assert_eq!(code(start(Some("short")).await), "22023");
    fixture.create("ada", None).await;
    fixture
        .apply(PrincipalOp::GrantRoles {
            roles: vec![ADMIN.to_owned()],
            to: vec!["ada".to_owned()],
        })
        .await;
    // She cannot log in yet.
    assert_eq!(code(start(None).await), "22023");
    fixture.token("ada", "t").await;
    start(None).await.unwrap();
}

#[tokio::test]
async fn where_everyone_is_let_in_everyone_may_do_everything() {
    let fixture = Fixture::new().await;
    let clock = Arc::<ManualClock>::clone(&fixture.clock);
    let logins = Logins::start(Policy::Anonymous, &fixture.store.current(), clock)
        .await
        .unwrap();
    for (credentials, expected) in [
        (Credentials::Anonymous, "anonymous"),
        (Credentials::Token("None".to_owned()), "anonymous"),
        (password("", "x"), "anonymous"),
        (password("ada", "x"), "ada"),
    ] {
        let login = logins
            .authenticate(&fixture.store, &credentials, None)
            .await
            .unwrap();
        assert_eq!(login.principal.name(), expected);
        let catalog = fixture.store.current();
        logins.check(&catalog, &login, LOGIN_LIFETIME * 100).unwrap();
        assert!(logins.access(&catalog, &login.principal).unwrap().is_admin());
    }
}
