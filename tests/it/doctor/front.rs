//! What stands in front of plank, and in the way.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{doctor, expect_one, wrongs};
use crate::support::{Cluster, TestApp};

/// What a proxy gets wrong.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// It does not pass `Upgrade` on, as nginx does not by itself.
    Upgrade,
    /// It names itself in `Host`.
    Host,
    /// It keeps what comes behind the head of a stream.
    Buffers,
    /// It compresses the stream, or says so.
    Compresses,
    /// It compresses answers, and makes their tags weak.
    Weakens,
    /// plank is not where it looks for it.
    Gateway,
    /// It is another site.
    Another,
    /// Its clock is wrong.
    Date,
}

/// Passes everything on, but for its fault.
async fn proxy(plank: SocketAddr, fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, plank, fault));
        }
    });
    address
}

async fn head(from: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|w| w == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            return Some((String::from_utf8(read).unwrap(), rest));
        }
        if from.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

/// A head whose lines have been changed.
fn changed(head: &str, mut change: impl FnMut(&str) -> Option<String>) -> String {
    let lines = head.trim_end().split("\r\n").filter_map(&mut change);
    lines.map(|line| line + "\r\n").collect::<String>() + "\r\n"
}

async fn pass(mut client: TcpStream, plank: SocketAddr, fault: Fault) -> Option<()> {
    let (request, _) = head(&mut client).await?;
    let canned = match fault {
        Fault::Gateway => Some("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
        Fault::Another => Some("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        _ => None,
    };
    if let Some(canned) = canned {
        return client.write_all(canned.as_bytes()).await.ok();
    }
    let request = changed(&request, |line| match line.split(':').next()? {
        "Upgrade" | "Connection" if fault == Fault::Upgrade => None,
        "Host" if fault == Fault::Host => Some("Host: plank".into()),
        _ => Some(line.into()),
    });
    let mut server = TcpStream::connect(plank).await.ok()?;
    server.write_all(request.as_bytes()).await.ok()?;
    let (answer, rest) = head(&mut server).await?;
    let is_stream = request.starts_with("GET /api/stream");
    let mut answer = changed(&answer, |line| match line.split(':').next()? {
        "etag" if fault == Fault::Weakens => Some(line.replacen('"', "W/\"", 1)),
        "date" if fault == Fault::Date => Some("date: Sun, 06 Nov 1994 08:49:37 GMT".into()),
        _ => Some(line.into()),
    });
    if is_stream && fault == Fault::Compresses {
        answer = answer.replacen("\r\n", "\r\nContent-Encoding: gzip\r\n", 1);
    }
    client.write_all(answer.as_bytes()).await.ok()?;
    if is_stream && fault == Fault::Buffers {
        // Until the client has enough of it.
        let _ = client.read(&mut [0; 1]).await;
        return None;
    }
    client.write_all(&rest).await.ok()?;
    tokio::io::copy_bidirectional(&mut client, &mut server)
        .await
        .ok()?;
    Some(())
}

#[actix_web::test]
async fn a_plank_that_does_not_know_its_name_is_found() {
    let app = TestApp::start().await;
    app.execute("insert into items (name) values ('a')").await;
    let database = Cluster::shared().url(&app.database);
    let url = format!("http://{}", proxy(app.address, Fault::Host).await);
    let args = [
        "--database-url",
        &database,
        "--max-connections",
        "10",
        "--url",
        &url,
    ];
    expect_one(&doctor(&args).await, "front: ", "answer to this name (421)");
}

#[actix_web::test]
async fn what_a_proxy_gets_wrong_is_found() {
    // As the proxy calls it that changes the name.
    let app = TestApp::start_with(|config| config.allowed_hosts = vec!["plank".into()]).await;
    app.execute("insert into items (name) values ('a')").await;
    let database = Cluster::shared().url(&app.database);
    for (fault, start, part) in [
        (Fault::None, "", ""),
        (Fault::Upgrade, "upgrade: ", "not 101"),
        (Fault::Upgrade, "upgrade: ", "does not pass the upgrade on"),
        (Fault::Weakens, "tags: ", "made weak on its way (W/\"1\")"),
        (Fault::Host, "upgrade: ", "own Origin is refused (403)"),
        (Fault::Buffers, "stream: ", "a proxy buffers it"),
        (
            Fault::Compresses,
            "stream: ",
            "compressed on its way (gzip)",
        ),
        (Fault::Gateway, "front: ", "does not reach plank"),
        (Fault::Another, "front: ", "that is not plank"),
        (Fault::Date, "clock: ", "behind this machine's"),
    ] {
        let url = format!("http://{}", proxy(app.address, fault).await);
        let args = [
            "--database-url",
            &database,
            "--max-connections",
            "10",
            "--url",
            &url,
        ];
        let findings = doctor(&args).await;
        match fault {
            Fault::None => assert_eq!(wrongs(&findings), [""; 0]),
            _ => expect_one(&findings, start, part),
        }
    }
}

#[actix_web::test]
async fn a_plank_without_its_database_and_an_address_without_a_plank_are_found() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let database = Cluster::shared().url(&Cluster::shared().database().await);
    let args = [
        "--database-url",
        &database,
        "--max-connections",
        "10",
        "--url",
    ];
    let findings = doctor(&[&args[..], &[&format!("http://{nobody}")]].concat()).await;
    expect_one(&findings, "front: ", "is not reached");

    let name = Cluster::shared().empty_database().await;
    let target = Cluster::shared().config(&name);
    let sql = crate::support::cluster::connect(&target).await;
    let away = "host=/nowhere user=u".parse().unwrap();
    let app = TestApp::build(away, sql, name, |_| {}).await;
    let findings = doctor(&[&args[..], &[&app.url("")]].concat()).await;
    expect_one(&findings, "front: ", "answers 503 to /readyz");
}
