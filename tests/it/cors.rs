//! Pages of `--allowed-origin` may read every answer; pages of other origins none.

use reqwest::Method;
use reqwest::header::HeaderMap;

use crate::support::TestApp;

const ALLOWED: &str = "https://allowed.example";

async fn ask(
    app: &TestApp,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, HeaderMap) {
    let method: Method = method.parse().unwrap();
    let mut request = app.http.request(method, app.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.headers().clone())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[actix_web::test]
async fn an_allowed_origin_may_read_every_route_and_no_other_may() {
    let app = TestApp::start().await;
    let routes = [
        ("GET", "/"),
        ("GET", "/static/plank.js"),
        ("GET", "/static/stream.js"),
        ("GET", "/static/table.js"),
        ("GET", "/static/plank.d.ts"),
        ("GET", "/api/tables"),
        ("GET", "/api/tables/items/rows"),
        ("GET", "/api/changes?table=items"),
        ("GET", "/api/stream?table=items"),
        ("GET", "/api/items"),
        ("GET", "/rest/items"),
        ("POST", "/rest/items"),
        ("POST", "/rest"),
        ("GET", "/rest/nothing"),
        ("GET", "/nowhere"),
        ("PUT", "/livez"),
        ("GET", "/livez"),
        ("GET", "/openapi.json"),
    ];
    for (method, path) in routes {
        let what = format!("{method} {path}");
        let (status, headers) = ask(&app, method, path, &[("origin", ALLOWED)]).await;
        assert!(status < 500, "{what}");
        assert_eq!(
            text(&headers, "access-control-allow-origin"),
            ALLOWED,
            "{what}"
        );
        assert_eq!(
            text(&headers, "access-control-allow-credentials"),
            "true",
            "{what}"
        );
        let exposed = text(&headers, "access-control-expose-headers");
        for name in [
            "ETag",
            "Location",
            "Content-Range",
            "Preference-Applied",
            "Plank-Cursor",
            "Plank-Xid",
            "Retry-After",
        ] {
            assert!(exposed.contains(name), "{what}: {exposed}");
        }
        for origin in [
            "https://evil.example",
            "https://allowed.example.evil.example",
            "null",
            "",
        ] {
            let (_, headers) = ask(&app, method, path, &[("origin", origin)]).await;
            let is_of_cors = |name: &str| name.starts_with("access-control");
            assert!(
                !headers.keys().any(|name| is_of_cors(name.as_str())),
                "{what} {origin}"
            );
            // What is kept for one origin must not be shown to another.
            let varies = headers
                .get_all("vary")
                .iter()
                .any(|v| v.to_str().unwrap().contains("Origin"));
            assert!(varies, "{what}");
        }
        let preflight = [
            ("origin", ALLOWED),
            ("access-control-request-method", method),
        ];
        let (status, headers) = ask(&app, "OPTIONS", path, &preflight).await;
        assert_eq!(
            (status, text(&headers, "access-control-max-age")),
            (204, "600"),
            "{what}"
        );
        let names = text(&headers, "access-control-allow-headers");
        for name in [
            "authorization",
            "content-type",
            "prefer",
            "if-match",
            "idempotency-key",
            "accept-profile",
            "content-profile",
            "range",
            "traceparent",
        ] {
            assert!(names.split(", ").any(|n| n == name), "{what}: {name}");
        }
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            assert!(
                text(&headers, "access-control-allow-methods").contains(method),
                "{what}"
            );
        }
        let foreign = [
            ("origin", "https://evil.example"),
            ("access-control-request-method", method),
        ];
        let (status, headers) = ask(&app, "OPTIONS", path, &foreign).await;
        assert!(matches!(status, 404 | 405), "{what}: {status}");
        assert_eq!(text(&headers, "access-control-allow-origin"), "", "{what}");
    }
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn without_an_allowed_origin_no_answer_varies() {
    let app = TestApp::start_with(|config| config.allowed_origins.clear()).await;
    let (_, headers) = ask(&app, "GET", "/api/tables", &[("origin", ALLOWED)]).await;
    assert_eq!(text(&headers, "access-control-allow-origin"), "");
    assert_eq!(text(&headers, "vary"), "");
    app.stop().await.unwrap();
}
