//! HTTP/1.0, which some proxies speak: it knows no chunks, and no upgrade.

use crate::support::TestApp;
use crate::support::raw::RawClient;

#[actix_web::test]
async fn an_answer_without_a_length_is_not_chunked_for_http_1_0_and_ends_with_the_connection() {
    let app = TestApp::start().await;
    app.execute("insert into items (name) select 'n' || g from generate_series(1, 3000) g")
        .await;
    for (path, accept, part) in [
        (
            "/api/stream?table=items&snapshot=1",
            "*/*",
            &b"event: subscribed"[..],
        ),
        (
            "/api/tables/items/rows",
            "application/x-ndjson",
            b"\"n3000\"",
        ),
        (
            "/api/tables/items/rows?limit=3000",
            "application/json",
            b"\"n3000\"",
        ),
        ("/api/items", "*/*", b"\"next\""),
        ("/livez", "*/*", b"alive"),
    ] {
        for connection in ["", "Connection: keep-alive\r\n"] {
            let mut client = RawClient::connect(app.address).await;
            let request =
                format!("GET {path} HTTP/1.0\r\nHost: x\r\n{connection}Accept: {accept}\r\n\r\n");
            client.send(request.as_bytes()).await;
            let head = client.head().await.to_ascii_lowercase();
            assert!(
                head.contains(" 200 ") && !head.contains("chunked"),
                "{path}: {head}"
            );
            let body = client.until(part).await;
            assert!(
                !body.windows(2).any(|two| two == b"\r\n"),
                "{path}: no sizes of chunks"
            );
            if !path.starts_with("/api/stream") {
                client.rest().await;
            }
        }
    }
}
