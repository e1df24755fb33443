//! What psql takes, plank takes: the same settings against the same servers, and psql is asked as well.

use std::path::{Path, PathBuf};
use std::process::Command;

use plank::config::{Database, DatabaseArgs};
use tokio_postgres::Client;

use crate::support::cluster::{Cluster, connect, own_address};
use crate::support::program::{Dir, command};
use crate::support::tool::openssl;
use crate::support::within;

/// A root and a server's certificate, as the manual of PostgreSQL makes them. The root has no extensions in version 1.
fn make_chain(dir: &Path, name: &str, is_root_v1: bool) {
    openssl(
        dir,
        "req -new -nodes -newkey rsa:2048 -out root.csr -keyout root.key -subj /CN=root.example",
    );
    let extensions = match is_root_v1 {
        true => "",
        false => "-extfile /etc/ssl/openssl.cnf -extensions v3_ca",
    };
    openssl(
        dir,
        &format!("x509 -req -in root.csr -days 3650 {extensions} -signkey root.key -out root.crt"),
    );
    openssl(
        dir,
        &format!(
            "req -new -nodes -newkey rsa:2048 -out server.csr -keyout server.key -subj /CN={name}"
        ),
    );
    openssl(
        dir,
        "x509 -req -in server.csr -days 365 -CA root.crt -CAkey root.key -CAcreateserial -out server.crt",
    );
}

/// A server with a certificate of some kind.
struct Server {
    cluster: Cluster,
    sql: Client,
    dir: Dir,
    host: String,
}

impl Server {
    async fn start(test: &str, make: impl FnOnce(&Path, &str)) -> Self {
        let dir = Dir::new(test);
        let host = own_address();
        make(&dir.0, &host);
        let read = |name: &str| std::fs::read_to_string(dir.0.join(name)).unwrap();
        let shared = connect(&Cluster::shared().config("postgres")).await;
        let programs = "select setting from pg_config where name = 'BINDIR'";
        let programs: String = shared.query_one(programs, &[]).await.unwrap().get(0);
        let cluster = Cluster::start_with_tls(
            programs.as_ref(),
            &host,
            &read("server.crt"),
            &read("server.key"),
        );
        let sql = connect(&cluster.config("plank")).await;
        sql.batch_execute("create role secured login superuser password 'secret'")
            .await
            .unwrap();
        Self {
            cluster,
            sql,
            dir,
            host,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.0.join(name)
    }

    fn url(&self, more: &str) -> String {
        format!(
            "postgresql://secured:secret@{}:5432/plank?{more}",
            self.host
        )
    }

    async fn compare(&self, more: &str) -> bool {
        let url = self.url(more);
        let psql = psql(&url, &[]);
        let plank = plank(&url).await;
        assert_eq!(
            plank.is_ok(),
            psql.is_ok(),
            "{more}\nplank: {plank:?}\npsql: {psql:?}"
        );
        plank.is_ok()
    }
}

/// Whether psql can connect; what it says if not.
fn psql(url: &str, variables: &[(&str, &str)]) -> Result<(), String> {
    let output = Command::new("psql")
        .args([url, "-XAtc", "select 1"])
        .env("HOME", "/nonexistent")
        .envs(variables.iter().copied())
        .output()
        .expect("the tests need psql");
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn database(url: &str) -> Result<Database, String> {
    let args = DatabaseArgs {
        database_url: Some(url.into()),
        ..DatabaseArgs::default()
    };
    args.resolve()
        .map(Option::unwrap)
        .map_err(|e| e.to_string())
}

/// The same for plank.
async fn plank(url: &str) -> Result<Client, String> {
    let server = database(url)?.listen;
    let connected = within("a connection", plank::store::connect::connect(&server)).await;
    let (client, connection) = connected.map_err(|e| e.to_string())?;
    tokio::spawn(connection);
    Ok(client)
}

const MODES: &[&str] = &[
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

/// All modes with and without the root; how many of them work.
async fn compare_all(server: &Server, root: &str) -> usize {
    let root = server.file(root);
    let mut good = 0;
    for mode in MODES {
        for root in ["", &format!("&sslrootcert={}", root.display())] {
            good += usize::from(server.compare(&format!("sslmode={mode}{root}")).await);
        }
    }
    good
}

#[actix_web::test]
async fn a_certificate_that_signs_itself_is_taken_where_psql_takes_it() {
    let server = Server::start("self-signed", |dir, host| {
        openssl(dir, &format!("req -new -x509 -days 365 -nodes -newkey rsa:2048 -out server.crt -keyout server.key -subj /CN={host}"));
        std::fs::copy(dir.join("server.crt"), dir.join("root.crt")).unwrap();
    })
    .await;
    assert!(compare_all(&server, "root.crt").await >= 7);
    assert!(
        server
            .compare(&format!(
                "sslmode=verify-ca&sslrootcert={}",
                server.file("root.crt").display()
            ))
            .await
    );
}

#[actix_web::test]
async fn certificates_of_version_1_are_taken_where_psql_takes_them() {
    for is_root_v1 in [false, true] {
        let server = Server::start(&format!("v1-{is_root_v1}"), |dir, host| {
            make_chain(dir, host, is_root_v1)
        })
        .await;
        let text = Command::new("openssl")
            .args(["x509", "-noout", "-text", "-in"])
            .arg(server.file("server.crt"))
            .output()
            .unwrap();
        assert!(
            String::from_utf8_lossy(&text.stdout).contains("Version: 1 "),
            "not what is to be tested"
        );
        assert!(compare_all(&server, "root.crt").await >= 7);
        let root = server.file("root.crt");
        for mode in ["verify-ca", "verify-full"] {
            for version in ["TLSv1.2", "TLSv1.3"] {
                let more = format!(
                    "sslmode={mode}&sslrootcert={}&ssl_min_protocol_version={version}&ssl_max_protocol_version={version}",
                    root.display()
                );
                assert!(server.compare(&more).await, "{more}");
            }
        }
    }
}

#[actix_web::test]
async fn a_certificate_that_psql_refuses_is_refused() {
    // Of another name; and by an authority that is none, because it was signed as a server's.
    let other_name = Server::start("other-name", |dir, _| {
        make_chain(dir, "db.example.org", true)
    })
    .await;
    let root = other_name.file("root.crt").display().to_string();
    assert!(
        other_name
            .compare(&format!("sslmode=verify-ca&sslrootcert={root}"))
            .await
    );
    assert!(
        !other_name
            .compare(&format!("sslmode=verify-full&sslrootcert={root}"))
            .await
    );
    drop(other_name);
    let no_authority = Server::start("no-authority", |dir, host| {
        make_chain(dir, "in-between.example", true);
        openssl(dir, &format!("req -new -nodes -newkey rsa:2048 -out leaf.csr -keyout leaf.key -subj /CN={host}"));
        openssl(dir, "x509 -req -in leaf.csr -days 365 -CA server.crt -CAkey server.key -CAcreateserial -out leaf.crt");
        let between = std::fs::read_to_string(dir.join("server.crt")).unwrap();
        let leaf = std::fs::read_to_string(dir.join("leaf.crt")).unwrap();
        std::fs::write(dir.join("server.crt"), leaf + &between).unwrap();
        std::fs::copy(dir.join("leaf.key"), dir.join("server.key")).unwrap();
        // And one of the right name that has signed nothing.
        openssl(dir, "req -new -x509 -days 365 -nodes -newkey rsa:2048 -out stranger.crt -keyout stranger.key -subj /CN=root.example");
    })
    .await;
    for root in ["root.crt", "stranger.crt"] {
        let root = no_authority.file(root).display().to_string();
        for mode in ["verify-ca", "verify-full"] {
            assert!(
                !no_authority
                    .compare(&format!("sslmode={mode}&sslrootcert={root}"))
                    .await,
                "{mode} {root}"
            );
        }
    }
}

#[actix_web::test]
async fn a_client_certificate_opens_where_psql_opens() {
    let server = Server::start("client-certificate", |dir, host| {
        make_chain(dir, host, false);
        openssl(dir, "req -new -nodes -newkey rsa:2048 -out client.csr -keyout client.key -subj /CN=secured");
        openssl(dir, "x509 -req -in client.csr -days 365 -CA root.crt -CAkey root.key -CAcreateserial -out client.crt");
        openssl(dir, "pkey -in client.key -aes256 -passout pass:x -out locked.key");
        std::fs::copy(dir.join("client.key"), dir.join("open.key")).unwrap();
        let mode = |name: &str, mode| {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode("client.key", 0o600);
        mode("locked.key", 0o600);
        mode("open.key", 0o644);
    })
    .await;
    let root = std::fs::read_to_string(server.file("root.crt")).unwrap();
    let authority = server.cluster.keep("clients.crt", &root);
    server.cluster.keep(
        "pg_hba.conf",
        "local all all trust\nhostssl all all 127.0.0.0/8 cert\n",
    );
    let sql = &server.sql;
    sql.batch_execute(&format!(
        "alter system set ssl_ca_file = '{}'",
        authority.display()
    ))
    .await
    .unwrap();
    sql.batch_execute("select pg_reload_conf()").await.unwrap();
    let show = |name: &str| server.file(name).display().to_string();
    let with = |key: &str| format!("sslcert={}&sslkey={}", show("client.crt"), show(key));
    crate::support::until("the server asks for certificates", async || {
        psql(&server.url(&with("client.key")), &[]).is_ok()
    })
    .await;
    assert!(server.compare(&with("client.key")).await);
    assert!(!server.compare("sslmode=require").await, "without");
    assert!(
        !server
            .compare(&format!("{}&sslcertmode=disable", with("client.key")))
            .await
    );
    assert!(
        !server.compare(&with("open.key")).await,
        "others may read the key"
    );
    for (key, part) in [
        ("open.key", "chmod 600"),
        ("locked.key", "without a password"),
        ("no.key", "can't be read"),
    ] {
        let refused = plank(&server.url(&with(key))).await.unwrap_err();
        assert!(refused.contains(part) && refused.contains(key), "{refused}");
    }
}

#[actix_web::test]
async fn the_password_comes_from_where_psql_takes_it() {
    let server = Server::start("passwords", |dir, host| make_chain(dir, host, false)).await;
    let host = server.host.as_str();
    let passfile = server.file("pgpass");
    let service = server.file("services");
    std::fs::write(
        &passfile,
        format!("nowhere:*:*:*:no\n{host}:5432:plank:secured:secret\n"),
    )
    .unwrap();
    std::fs::write(&service, format!("[other]\nhost=nowhere\n[mine]\nhost={host}\ndbname=plank\nuser=secured\npassword=secret\n")).unwrap();
    let (passfile, service) = (
        passfile.display().to_string(),
        service.display().to_string(),
    );
    let private = |mode| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&passfile, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    private(0o600);
    let place = format!("host={host} dbname=plank user=secured");
    for (url, variables, works) in [
        (format!("{place} passfile={passfile}"), vec![], true),
        (place.clone(), vec![("PGPASSFILE", passfile.as_str())], true),
        (place.clone(), vec![("PGPASSWORD", "secret")], true),
        (place.clone(), vec![("PGPASSWORD", "wrong")], false),
        (place.clone(), vec![], false),
        (
            "service=mine".into(),
            vec![("PGSERVICEFILE", service.as_str())],
            true,
        ),
        (
            "service=none".into(),
            vec![("PGSERVICEFILE", service.as_str())],
            false,
        ),
        (
            "service=mine password=wrong".into(),
            vec![("PGSERVICEFILE", service.as_str())],
            false,
        ),
        (
            String::new(),
            vec![("PGSERVICEFILE", service.as_str()), ("PGSERVICE", "mine")],
            true,
        ),
        (
            String::new(),
            vec![
                ("PGHOST", host),
                ("PGDATABASE", "plank"),
                ("PGUSER", "secured"),
                ("PGPASSWORD", "secret"),
            ],
            true,
        ),
        (
            String::new(),
            vec![
                ("PGHOSTADDR", host),
                ("PGPORT", "5432"),
                ("PGDATABASE", "plank"),
                ("PGUSER", "secured"),
                ("PGPASSWORD", "secret"),
            ],
            true,
        ),
        (
            "dbname=plank user=secured".into(),
            vec![("PGHOST", host), ("PGPASSWORD", "secret")],
            true,
        ),
        (
            format!(
                "host=127.77.0.9,{host} dbname=plank user=secured password=secret connect_timeout=3"
            ),
            vec![],
            true,
        ),
        (
            format!("host={host},{host} port=1,5432 dbname=plank user=secured password=secret"),
            vec![],
            true,
        ),
        (
            format!("host={host} port=1,5432 dbname=plank user=secured password=secret"),
            vec![],
            false,
        ),
        (
            format!(
                "host=db.example.org hostaddr={host} dbname=plank user=secured password=secret"
            ),
            vec![],
            true,
        ),
        (
            format!("postgresql://secured:s%65cret@nowhere.invalid:1,{host}:5432/plank"),
            vec![],
            true,
        ),
        (
            format!("{place} password=secret target_session_attrs=read-write"),
            vec![],
            true,
        ),
        (
            format!("{place} password=secret target_session_attrs=primary"),
            vec![],
            true,
        ),
        (
            format!("{place} password=secret channel_binding=require"),
            vec![],
            true,
        ),
        (
            format!("{place} password=secret channel_binding=require sslmode=disable"),
            vec![],
            false,
        ),
        (format!("{place} password=secret nonsense=1"), vec![], false),
    ] {
        let shown = format!("{url:?} {variables:?}");
        assert_eq!(psql(&url, &variables).is_ok(), works, "psql: {shown}");
        let mut doctor = command(&["doctor"]);
        if !url.is_empty() {
            doctor.args(["--database-url", &url]);
        }
        doctor
            .env("HOME", "/nonexistent")
            .envs(variables.iter().copied());
        let output = within("doctor", doctor.output()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            said.contains("\"plank\" as \"secured\""),
            works,
            "plank: {shown}\n{said}"
        );
        assert!(!said.contains("secret"), "{shown}\n{said}");
    }
    // libpq does not read a file that others can read either.
    private(0o644);
    let url = format!("{place} passfile={passfile}");
    assert!(psql(&url, &[]).is_err() && plank(&url).await.is_err());
}

#[actix_web::test]
async fn a_standby_is_passed_by_when_a_primary_is_asked_for() {
    let mut cluster = Cluster::start();
    let standby = cluster.lagging_standby().await;
    let socket = |cluster: &Cluster| match cluster.config("plank").get_hosts() {
        [tokio_postgres::config::Host::Unix(dir)] => dir.display().to_string(),
        other => panic!("{other:?}"),
    };
    let hosts = format!("{},{}", socket(&standby), socket(&cluster));
    for (wanted, is_standby) in [("any", true), ("primary", false), ("read-write", false)] {
        let url = format!("host={hosts} user=postgres dbname=plank target_session_attrs={wanted}");
        let client = plank(&url).await.unwrap();
        let asked = client
            .query_one("select pg_is_in_recovery()", &[])
            .await
            .unwrap();
        assert_eq!(asked.get::<_, bool>(0), is_standby, "{wanted}");
    }
    for unwanted in ["read-only", "standby", "prefer-standby"] {
        let url = format!("host={hosts} user=postgres target_session_attrs={unwanted}");
        let refused = database(&url).unwrap_err();
        assert!(
            refused.contains("target_session_attrs") && refused.contains(unwanted),
            "{refused}"
        );
    }
}

/// Passes everything on to a server, and tells the first byte that each client has sent.
async fn listening(server: String) -> (u16, tokio::sync::mpsc::UnboundedReceiver<u8>) {
    use tokio::io::AsyncWriteExt as _;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (server, tell) = (server.clone(), tell.clone());
            tokio::spawn(async move {
                let mut first = [0; 1];
                client.peek(&mut first).await.unwrap();
                tell.send(first[0]).unwrap();
                let mut server = tokio::net::TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                let _ = client.shutdown().await;
            });
        }
    });
    (port, told)
}

/// With servers from version 17 on it works, and older ones end it: `tests/versions` runs it with 18.
#[actix_web::test]
async fn sslnegotiation_direct_begins_with_tls() {
    let server = Server::start("direct", |dir, host| {
        openssl(dir, &format!("req -new -x509 -days 365 -nodes -newkey rsa:2048 -out server.crt -keyout server.key -subj /CN={host}"));
    })
    .await;
    let version: String = server
        .sql
        .query_one("show server_version_num", &[])
        .await
        .unwrap()
        .get(0);
    let (port, mut first) = listening(format!("{}:5432", server.host)).await;
    for (negotiation, byte) in [("postgres", 0), ("direct", 0x16)] {
        let url = format!(
            "postgresql://secured:secret@127.0.0.1:{port}/plank?sslmode=require&sslnegotiation={negotiation}"
        );
        let connected = plank(&url).await;
        // A hello of TLS, or the length of a request for it.
        assert_eq!(first.recv().await, Some(byte), "{negotiation}");
        if byte != 0 && version.parse::<u32>().unwrap() < 170_000 {
            assert!(connected.is_err());
            continue;
        }
        let client = connected.unwrap_or_else(|why| panic!("{negotiation}: {why}"));
        let is_tls = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        assert!(
            client
                .query_one(is_tls, &[])
                .await
                .unwrap()
                .get::<_, bool>(0)
        );
    }
}
