//! TLS to PostgreSQL: what `sslmode` and `sslrootcert` ask for is what is got.

use std::path::PathBuf;

use plank::config::{Database, DatabaseArgs};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_postgres::Client;

use crate::support::cluster::{Cluster, connect, own_address};
use crate::support::{TestApp, until};

/// A server whose certificate is from an authority of its own, for one name or address.
struct Secured {
    cluster: Cluster,
    sql: Client,
    root: PathBuf,
    host: String,
}

impl Secured {
    /// With a certificate for this name, or for its address.
    async fn start(name: Option<&str>) -> Self {
        let host = own_address();
        let mut authority = CertificateParams::new(vec![]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec![name.unwrap_or(&host).to_owned()]).unwrap();
        let own = own.signed_by(&key, &authority).unwrap();
        let shared = connect(&Cluster::shared().config("postgres")).await;
        let programs = "select setting from pg_config where name = 'BINDIR'";
        let programs: String = shared.query_one(programs, &[]).await.unwrap().get(0);
        let cluster =
            Cluster::start_with_tls(programs.as_ref(), &host, &own.pem(), &key.serialize_pem());
        let root = cluster.keep("root.pem", &authority.pem());
        let sql = connect(&cluster.config("plank")).await;
        sql.batch_execute("create role secured login superuser password 'secret'")
            .await
            .unwrap();
        Self {
            cluster,
            sql,
            root,
            host,
        }
    }

    fn database(&self, tls: &str) -> Database {
        let args = DatabaseArgs {
            database_url: Some(format!(
                "postgres://secured:secret@{}:5432/plank?{tls}",
                self.host
            )),
            ..DatabaseArgs::default()
        };
        args.resolve().unwrap().unwrap()
    }

    /// Whether a client can connect, and whether with TLS.
    async fn outcome(&self, tls: &str) -> Result<bool, String> {
        let database = self.database(tls);
        plank::app::prepare(&database)
            .await
            .map_err(|e| e.to_string())?;
        let (client, connection) = plank::store::connect::connect(&database.listen)
            .await
            .map_err(|e| e.to_string())?;
        let driver = actix_rt::spawn(connection);
        let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        let ssl = client.query_one(sql, &[]).await.unwrap().get(0);
        driver.abort();
        Ok(ssl)
    }
}

#[actix_web::test]
async fn what_is_asked_of_the_certificate_is_checked() {
    let named = Secured::start(Some("db.example.org")).await;
    let root = format!("sslrootcert={}", named.root.display());
    // Over the network this server takes TLS only.
    let refused = named.outcome("sslmode=disable").await.unwrap_err();
    assert!(refused.contains("no encryption"), "{refused}");
    for takes_any in ["", "sslmode=prefer", "sslmode=require"] {
        assert_eq!(named.outcome(takes_any).await, Ok(true), "{takes_any}");
    }
    for takes_any_name in ["sslmode=require", "sslmode=verify-ca"] {
        let tls = format!("{takes_any_name}&{root}");
        assert_eq!(named.outcome(&tls).await, Ok(true), "{tls}");
    }
    let unknown = named.outcome("sslmode=verify-ca").await.unwrap_err();
    assert!(
        unknown.contains("not to be trusted") && unknown.contains("sslrootcert"),
        "{unknown}"
    );
    let other_name = named.outcome(&format!("sslmode=verify-full&{root}")).await;
    let other_name = other_name.unwrap_err();
    assert!(
        other_name.contains("not valid for name") && !other_name.contains("secret"),
        "{other_name}"
    );
    let no_file = named
        .outcome("sslmode=verify-full&sslrootcert=/nowhere.pem")
        .await;
    assert!(
        no_file
            .unwrap_err()
            .contains("sslrootcert=/nowhere.pem can't be read")
    );
}

#[actix_web::test]
async fn everything_works_over_it() {
    let secured = Secured::start(None).await;
    let root = format!("sslmode=verify-full&sslrootcert={}", secured.root.display());
    assert_eq!(secured.outcome(&root).await, Ok(true));
    let database = secured.database(&root);
    let app = TestApp::build(
        secured.cluster.config("plank"),
        connect(&secured.cluster.config("plank")).await,
        "plank".into(),
        |config| config.database = Some(database),
    )
    .await;
    app.ready().await;
    let mut client = app.ws("/ws?table=items&snapshot=1").await;
    client.expect("welcome").await;
    client.snapshot().await;
    client.expect("subscribed").await;
    let body = serde_json::json!({"name": "over TLS"});
    let (status, _) = app.request("POST", "/api/items", Some(body)).await;
    assert_eq!(status, 201);
    assert_eq!(client.change().await["row"]["name"], "over TLS");
    // Each of its connections.
    until("all are encrypted", async || {
        let sql = "select count(*) filter (where not ssl) = 0 and count(*) >= 2 from pg_stat_ssl join pg_stat_activity \
            using (pid) where application_name like 'plank%' and usename = 'secured'";
        secured.sql.query_one(sql, &[]).await.unwrap().get(0)
    })
    .await;
}
