//! A real nginx in front of plank, with TLS and with what people get wrong in it.

use std::path::Path;

use tokio::process::Child;

use super::{expect_one, read, wrongs};
use crate::support::program::{Dir, command};
use crate::support::tool::{free_port, nginx, openssl};
use crate::support::{Cluster, TestApp, within};

/// A root that makes a certificate for `localhost`: `ca.pem`, `server.pem` and `server.key`.
fn certify(dir: &Path) {
    openssl(
        dir,
        "req -x509 -new -nodes -newkey rsa:2048 -days 2 -keyout ca.key -out ca.pem -subj /CN=ca.example",
    );
    openssl(
        dir,
        "req -new -nodes -newkey rsa:2048 -keyout server.key -out server.csr -subj /CN=localhost",
    );
    std::fs::write(dir.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        dir,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
}

/// nginx with these lines in its server and in its location; `None` when it is not installed, which is a failure in CI.
async fn tls_proxy(dir: &Path, plank: &str, server: &str, location: &str) -> Option<(Child, u16)> {
    let (port, at) = (free_port(), dir.display());
    let server = format!(
        "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {at}/server.pem; ssl_certificate_key {at}/server.key; {server} \
         location / {{ proxy_pass http://{plank}; proxy_http_version 1.1; proxy_set_header Host $http_host; \
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; proxy_buffering off; \
         {location} }} }}"
    );
    let process = nginx(dir, port, &server, "doctor looks through nginx").await?;
    Some((process, port))
}

#[actix_web::test]
async fn keep_alive_and_forwarded_proto_of_a_real_nginx_are_looked_at() {
    let dir = Dir::new("doctor-nginx");
    certify(&dir.0);
    let says = "proxy_set_header X-Forwarded-Proto $scheme;";
    let cases = [
        ("", says, "", ""),
        ("keepalive_timeout 75s;", says, "", ""),
        (
            "keepalive_timeout 2s;",
            says,
            "keep-alive: ",
            "closes a connection that rests",
        ),
        ("", "", "forwarded: ", "does not say so"),
        (
            "",
            "proxy_set_header X-Forwarded-Proto $http_x_forwarded_proto;",
            "forwarded: ",
            "does not say so",
        ),
        (
            "set $said $scheme; if ($http_x_forwarded_proto) { set $said $http_x_forwarded_proto; }",
            "proxy_set_header X-Forwarded-Proto $said;",
            "forwarded: ",
            "passes on",
        ),
        // Only worth a note.
        ("keepalive_timeout 0;", says, "", ""),
    ];
    let app = TestApp::start_with(|config| config.allowed_hosts = vec!["localhost".into()]).await;
    app.execute("insert into items (name) values ('a')").await;
    let database = Cluster::shared().url(&app.database);
    let plank = app.address.to_string();
    for (server, location, start, part) in cases {
        let Some((_nginx, port)) = tls_proxy(&dir.0, &plank, server, location).await else {
            return;
        };
        let url = format!("https://localhost:{port}");
        let mut doctor = command(&[
            "doctor",
            "--json",
            "--database-url",
            &database,
            "--max-connections",
            "10",
            "--url",
            &url,
        ]);
        doctor
            .env("SSL_CERT_FILE", dir.0.join("ca.pem"))
            .env_remove("SSL_CERT_DIR");
        let output = within("doctor", doctor.output()).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let status = output.status.code().unwrap_or(-1);
        let findings = read(status, &text(&output.stdout), &text(&output.stderr));
        match start {
            "" => assert_eq!(wrongs(&findings), [""; 0], "{server} {location}"),
            _ => expect_one(&findings, start, part),
        }
        let of = |check: &str| {
            let mut all = findings.iter();
            let finding = all.find(|finding| finding["check"] == check);
            finding
                .map_or("none", |finding| finding["state"].as_str().unwrap())
                .to_owned()
        };
        let expected = if server.contains("timeout 0") {
            "note"
        } else if start == "keep-alive: " {
            "wrong"
        } else {
            "ok"
        };
        assert_eq!(of("keep-alive"), expected, "{server}: {findings:#?}");
        let expected = if start == "forwarded: " {
            "wrong"
        } else {
            "ok"
        };
        assert_eq!(of("forwarded"), expected, "{location}: {findings:#?}");
    }
}
