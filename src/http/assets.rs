//! The dashboard: files of `static/`, embedded in the binary. How their bytes are made ready is in [`super::asset_cache`].

use std::sync::{Arc, LazyLock};

use actix_web::http::header::{
    self, AcceptEncoding, ETag, Encoding, EntityTag, Header as _, HeaderValue, IfNoneMatch,
};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rust_embed::{EmbeddedFile, RustEmbed};
use sha2::{Digest as _, Sha256};

use super::asset_cache::{Packed, packed};
use super::openapi as doc;
use super::problem::Problem;

#[derive(RustEmbed)]
#[folder = "static/"]
#[exclude = "vendor/SHA256SUMS"]
struct Files;

/// Where the description of the API is (RFC 8631). Relative, for plank may be served below a path.
const API: &str = "<openapi.json>; rel=\"service-desc\", <docs>; rel=\"service-doc\"";

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
#[utoipa::path(
    get, path = "/", tag = "pages", operation_id = "dashboard",
    summary = "The dashboard", description = "The reference table, live.",
    params(doc::IfNoneMatch),
    responses(
        (
            status = 200, description = "The page.", body = String, content_type = "text/html",
            headers(
                ("ETag" = String, description = "Of this version."),
                ("Link" = String, description = "Where this document is, and the page that shows it.")
            ),
        ),
        (status = 304, description = "It is still that of `If-None-Match`."),
    ),
)]
pub async fn index(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let mut response = serve(&request, "index.html").await?;
    response
        .headers_mut()
        .insert(header::LINK, HeaderValue::from_static(API));
    Ok(response)
}

/// `GET /docs`
///
/// # Errors
/// None: the page is always there.
#[utoipa::path(
    get, path = "/docs", tag = "pages",
    summary = "This document, for people", description = "With a form for every GET.",
    params(doc::IfNoneMatch),
    responses(
        (
            status = 200, description = "The page.", body = String, content_type = "text/html",
            headers(("ETag" = String, description = "Of this version.")),
        ),
        (status = 304, description = "It is still that of `If-None-Match`."),
    ),
)]
pub async fn docs(request: HttpRequest) -> Result<HttpResponse, Problem> {
    serve(&request, "docs.html").await
}

/// `GET /static/{path}`
///
/// # Errors
/// 404.
#[utoipa::path(
    get, path = "/static/{path}", tag = "pages",
    summary = "A file of these pages", description = "Scripts, styles, and the client `plank.js` with `stream.js` and `table.js`.",
    params(doc::FilePath, doc::IfNoneMatch),
    responses(
        (
            status = 200, description = "The file.", headers(("ETag" = String, description = "Of this version.")),
            content(
                (String = "text/javascript"), (String = "text/css"), (String = "text/html"), (String = "image/svg+xml"),
                (String = "application/octet-stream"),
            ),
        ),
        (status = 304, description = "It is still that of `If-None-Match`."),
        doc::NoFile,
    ),
)]
pub async fn file(request: HttpRequest, path: web::Path<String>) -> Result<HttpResponse, Problem> {
    serve(&request, &path).await
}

async fn pack(path: &str, file: EmbeddedFile) -> Result<Arc<Packed>, Problem> {
    let packed = packed(path, file.metadata.sha256_hash(), file.data).await;
    packed.map_err(|_| Problem::unavailable("the server is about to end"))
}

async fn serve(request: &HttpRequest, path: &str) -> Result<HttpResponse, Problem> {
    let file = Files::get(path).ok_or_else(|| no_file(path))?;
    let content_type = match file.metadata.mimetype() {
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    };
    let packed = pack(path, file).await?;
    let mut response = choose(request, &content_type, &packed);
    if path.ends_with(".html") {
        let policy = HeaderValue::from_static(POLICY.as_str());
        let name = header::CONTENT_SECURITY_POLICY;
        response.headers_mut().insert(name, policy);
    }
    Ok(response)
}

/// 404.
pub(super) fn no_file(path: &str) -> Problem {
    Problem::not_found(format!("there is no file {path:?}"))
}

/// The form that the client takes: each is an entity with a tag of its own.
fn choose(request: &HttpRequest, content_type: &str, packed: &Packed) -> HttpResponse {
    let accepted = AcceptEncoding::parse(request).ok();
    let takes = |coding: &str| {
        let (Some(accepted), Ok(coding)) = (&accepted, coding.parse::<Encoding>()) else {
            return false;
        };
        let offered = [coding.clone(), Encoding::identity()];
        accepted.negotiate(offered.iter()) == Some(coding)
    };
    let coded = packed.coded.iter().find(|(coding, _)| takes(coding));
    let (tag, body) = match coded {
        Some((coding, body)) => (format!("{}-{coding}", packed.tag), body),
        None => (packed.tag.clone(), &packed.plain),
    };
    let mut response = cached(request, tag, content_type, body.clone());
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let (Some((coding, _)), true) = (coded, headers.contains_key(header::CONTENT_TYPE)) {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}

/// What is the same until the binary is another one. It is asked for again each time, and answered with 304.
pub(super) fn cached(
    request: &HttpRequest,
    tag: String,
    content_type: &str,
    body: Bytes,
) -> HttpResponse {
    let tag = EntityTag::new_strong(tag);
    let is_known = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|t| t.weak_eq(&tag)),
        Ok(IfNoneMatch::Any) | Err(_) => false,
    };
    let mut response = if is_known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header(ETag(tag))
        .insert_header((header::CACHE_CONTROL, "no-cache"));
    if is_known {
        return response.finish();
    }
    response.content_type(content_type).body(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn every_script_leaves_as_it_is_written_and_every_sheet_is_shorter() {
        let (mut scripts, mut sheets) = (0, 0);
        for path in Files::iter() {
            let source = Files::get(&path).unwrap().data;
            let packed = pack(&path, Files::get(&path).unwrap()).await.unwrap();
            if path.ends_with(".css") {
                assert!(packed.plain.len() < source.len(), "{path}");
                sheets += 1;
            } else {
                assert!(packed.plain == *source, "{path}");
                scripts += usize::from(path.ends_with(".js"));
            }
        }
        assert!(scripts > 20 && sheets > 3, "{scripts} {sheets}");
    }
}
