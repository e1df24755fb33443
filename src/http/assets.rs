//! The dashboard: files of `static/`, embedded in the binary.

use std::sync::LazyLock;

use actix_web::http::header::{self, ETag, EntityTag, Header as _, IfNoneMatch};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rust_embed::{EmbeddedFile, RustEmbed};
use sha2::{Digest as _, Sha256};

use super::problem::Problem;

#[derive(RustEmbed)]
#[folder = "static/"]
#[exclude = "vendor/SHA256SUMS"]
struct Files;

const IMPORT_MAP: &str = "<script type=\"importmap\">";

/// What the page may do: nothing that does not come from here. The one inline script, the import map, is named by its
/// hash.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let page = Files::get("index.html")
        .map(|file| String::from_utf8_lossy(&file.data).into_owned())
        .unwrap_or_default();
    let map = page
        .split_once(IMPORT_MAP)
        .and_then(|(_, rest)| rest.split_once("</script>"))
        .map_or("", |(map, _)| map);
    let hash = STANDARD.encode(Sha256::digest(map.as_bytes()));
    format!(
        "default-src 'none'; script-src 'self' 'sha256-{hash}'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
});

/// `GET /`
///
/// # Errors
/// None: the page is always there.
pub async fn index(request: HttpRequest) -> Result<HttpResponse, Problem> {
    serve(&request, "index.html")
}

/// `GET /static/{path}`
///
/// # Errors
/// 404.
pub async fn file(request: HttpRequest, path: web::Path<String>) -> Result<HttpResponse, Problem> {
    serve(&request, &path)
}

fn serve(request: &HttpRequest, path: &str) -> Result<HttpResponse, Problem> {
    let Some(file) = Files::get(path) else {
        return Err(Problem::not_found(format!("there is no file {path:?}")));
    };
    let tag = EntityTag::new_strong(hex(&file));
    let is_known = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|t| t.weak_eq(&tag)),
        Ok(IfNoneMatch::Any) | Err(_) => false,
    };
    let mut response = if is_known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    // Asked for again each time, and answered with 304 until the binary is another one.
    response
        .insert_header(ETag(tag))
        .insert_header((header::CACHE_CONTROL, "no-cache"));
    if path.ends_with(".html") {
        response.insert_header((header::CONTENT_SECURITY_POLICY, POLICY.as_str()));
    }
    if is_known {
        return Ok(response.finish());
    }
    Ok(response
        .content_type(content_type(&file))
        .body(file.data.into_owned()))
}

fn content_type(file: &EmbeddedFile) -> String {
    match file.metadata.mimetype() {
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    }
}

fn hex(file: &EmbeddedFile) -> String {
    file.metadata.sha256_hash()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
