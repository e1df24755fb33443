//! The dashboard is in the binary, and may do nothing but talk to its own server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::support::TestApp;

#[actix_web::test]
async fn the_page_and_its_files_are_served() {
    let app = TestApp::start().await;
    let page = app.http.get(app.url("/")).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    let tag = page.headers()["etag"].to_str().unwrap().to_owned();
    let html = page.text().await.unwrap();
    let map = html
        .split_once("<script type=\"importmap\">")
        .unwrap()
        .1
        .split_once("</script>")
        .unwrap()
        .0;
    let hash = STANDARD.encode(Sha256::digest(map));
    assert!(
        policy.contains(&format!("script-src 'self' 'sha256-{hash}'"))
            && !policy.contains("unsafe"),
        "{policy}"
    );

    let again = app
        .http
        .get(app.url("/"))
        .header("if-none-match", tag)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (again.status(), again.text().await.unwrap().len()),
        (304.try_into().unwrap(), 0)
    );

    for (file, kind) in [
        ("plank.js", "javascript"),
        ("stream.js", "javascript"),
        ("table.js", "javascript"),
        ("style.css", "css"),
        ("vendor/preact.mjs", "javascript"),
    ] {
        let response = app
            .http
            .get(app.url(&format!("/static/{file}")))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{file}");
        assert!(
            response.headers()["content-type"]
                .to_str()
                .unwrap()
                .contains(kind),
            "{file}: {:?}",
            response.headers()
        );
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
    assert_eq!(
        app.request("GET", "/static/../Cargo.toml", None).await.0,
        404
    );
    for missing in ["nope.js", "nope.js.map", "plank.js.map", "style.css.map"] {
        let path = format!("/static/{missing}");
        assert_eq!(app.request("GET", &path, None).await.0, 404, "{missing}");
    }
}

#[actix_web::test]
async fn a_script_is_what_is_in_the_repository() {
    let app = TestApp::start().await;
    let script = app
        .http
        .get(app.url("/static/views/window.js"))
        .send()
        .await;
    let script = script.unwrap();
    let source = include_str!("../../static/views/window.js");
    assert_eq!(script.text().await.unwrap(), source);
}
