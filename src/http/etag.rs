//! The entity tags of conditional requests (RFC 9110, section 13.1).

use actix_web::http::header::{HeaderMap, HeaderName};

use super::problem::Problem;

/// The entity tags of a conditional header, if it is there (RFC 9110, section 13.1).
///
/// # Errors
/// 400 names the header.
pub fn tags(headers: &HeaderMap, name: HeaderName) -> Result<Option<Vec<String>>, Problem> {
    let mut list = None;
    for value in headers.get_all(&name) {
        let list = list.get_or_insert_with(Vec::new);
        for tag in value.to_str().unwrap_or_default().split(',').map(str::trim) {
            let opaque = tag.strip_prefix("W/").unwrap_or(tag);
            let is_quoted = opaque.len() >= 2 && opaque.starts_with('"') && opaque.ends_with('"');
            if tag != "*" && !is_quoted {
                let detail = format!(
                    "{tag:?} is no entity tag; send the ETag of the row with its quotes, as in {name}: \"3\""
                );
                return Err(Problem::malformed(name.as_str(), detail));
            }
            list.push(tag.to_owned());
        }
    }
    Ok(list)
}
