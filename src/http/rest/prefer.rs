//! The header `Prefer` (RFC 7240), with the words of PostgREST.

use actix_web::http::header::HeaderMap;

use crate::store::rest::Counting;

use super::super::problem::Problem;

/// What comes back of a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Return {
    /// Nothing.
    #[default]
    Minimal,
    /// Headers about the row.
    Headers,
    /// The rows.
    Representation,
}

/// What becomes of a row whose unique columns are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It replaces what it has values for.
    Merge,
    /// It is left out.
    Ignore,
}

/// What a request prefers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefer {
    /// `return`
    pub back: Option<Return>,
    /// `count`
    pub count: Option<Counting>,
    /// `resolution`
    pub resolution: Option<Resolution>,
    /// `missing=default`: a column without a value gets its default.
    pub defaults: Option<bool>,
    /// `handling=strict`: what is not known is an error.
    pub strict: Option<bool>,
    /// `tx=rollback`: nothing is kept.
    pub rollback: Option<bool>,
    /// `max-affected`
    pub affected_max: Option<u64>,
    /// `plank-all-rows`: a write without a filter is meant.
    pub all_rows: bool,
    unknown: Vec<String>,
}

impl Prefer {
    /// Reads it. Of a word that is there twice the first counts.
    ///
    /// # Errors
    /// 400 names the word, if its value is none of those it takes, or if it is not known and `handling=strict`.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut prefer = Self::default();
        for value in headers.get_all("prefer") {
            let text = value
                .to_str()
                .map_err(|_| malformed("is no text".to_owned()))?;
            for item in text.split([',', ';']).map(str::trim) {
                if !item.is_empty() {
                    prefer.take(item)?;
                }
            }
        }
        match prefer.unknown.first() {
            Some(item) if prefer.strict == Some(true) => Err(malformed(format!(
                "has {item:?}, which is not known, and handling=strict; the words are return, count, resolution, missing, tx, handling, \
                 max-affected and plank-all-rows"
            ))),
            _ => Ok(prefer),
        }
    }

    fn take(&mut self, item: &str) -> Result<(), Problem> {
        let (name, value) = item.split_once('=').unwrap_or((item, ""));
        let (name, value) = (
            name.trim().to_ascii_lowercase(),
            value.trim().trim_matches('"'),
        );
        match name.as_str() {
            "return" => choose(
                &mut self.back,
                item,
                value,
                &[
                    ("minimal", Return::Minimal),
                    ("headers-only", Return::Headers),
                    ("representation", Return::Representation),
                ],
            ),
            "count" => choose(
                &mut self.count,
                item,
                value,
                &[
                    ("exact", Counting::Exact),
                    ("planned", Counting::Planned),
                    ("estimated", Counting::Estimated),
                ],
            ),
            "resolution" => choose(
                &mut self.resolution,
                item,
                value,
                &[
                    ("merge-duplicates", Resolution::Merge),
                    ("ignore-duplicates", Resolution::Ignore),
                ],
            ),
            "missing" => choose(
                &mut self.defaults,
                item,
                value,
                &[("default", true), ("null", false)],
            ),
            "handling" => choose(
                &mut self.strict,
                item,
                value,
                &[("strict", true), ("lenient", false)],
            ),
            "tx" => choose(
                &mut self.rollback,
                item,
                value,
                &[("rollback", true), ("commit", false)],
            ),
            "max-affected" => {
                let number = value.parse().map_err(|_| {
                    malformed(format!("has {item:?}; max-affected takes a whole number"))
                })?;
                self.affected_max.get_or_insert(number);
                Ok(())
            }
            "plank-all-rows" => {
                self.all_rows = true;
                Ok(())
            }
            _ => {
                self.unknown.push(item.to_owned());
                Ok(())
            }
        }
    }

    /// The bound on the rows of a write, if it holds.
    pub fn bound(&self) -> Option<u64> {
        self.affected_max.filter(|_| self.strict == Some(true))
    }

    /// Those that a read, or else a write, has gone by, for `Preference-Applied`.
    pub fn applied(&self, is_write: bool) -> String {
        let mut words = Vec::new();
        if is_write {
            if let Some(resolution) = self.resolution {
                words.push(match resolution {
                    Resolution::Merge => "resolution=merge-duplicates".to_owned(),
                    Resolution::Ignore => "resolution=ignore-duplicates".to_owned(),
                });
            }
            if let Some(defaults) = self.defaults {
                words.push(format!(
                    "missing={}",
                    if defaults { "default" } else { "null" }
                ));
            }
            if let Some(back) = self.back {
                words.push(match back {
                    Return::Minimal => "return=minimal".to_owned(),
                    Return::Headers => "return=headers-only".to_owned(),
                    Return::Representation => "return=representation".to_owned(),
                });
            }
            if let Some(rollback) = self.rollback {
                words.push(format!(
                    "tx={}",
                    if rollback { "rollback" } else { "commit" }
                ));
            }
            if self.all_rows {
                words.push("plank-all-rows".to_owned());
            }
        }
        if let Some(count) = self.count {
            words.push(match count {
                Counting::Exact => "count=exact".to_owned(),
                Counting::Planned => "count=planned".to_owned(),
                Counting::Estimated => "count=estimated".to_owned(),
            });
        }
        if let Some(strict) = self.strict {
            words.push(format!(
                "handling={}",
                if strict { "strict" } else { "lenient" }
            ));
        }
        if let Some(most) = self.bound().filter(|_| is_write) {
            words.push(format!("max-affected={most}"));
        }
        words.join(", ")
    }
}

fn choose<T: Copy>(
    slot: &mut Option<T>,
    item: &str,
    value: &str,
    words: &[(&str, T)],
) -> Result<(), Problem> {
    let Some((_, found)) = words.iter().find(|(word, _)| *word == value) else {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let list = words.join(", ");
        return Err(malformed(format!("has {item:?}; it takes one of {list}")));
    };
    slot.get_or_insert(*found);
    Ok(())
}

fn malformed(detail: String) -> Problem {
    Problem::malformed("Prefer", detail).with_code("PGRST122")
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn read(values: &[&str]) -> Result<Prefer, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(HeaderName::from_static("prefer"), value);
        }
        Prefer::of(&headers)
    }

    #[test]
    fn what_is_preferred_is_read_and_said_back() {
        let prefer = read(&[
            "return=representation, resolution=merge-duplicates",
            "count=exact;missing=default,respond-async",
            "return=minimal",
        ]);
        let prefer = prefer.unwrap();
        assert_eq!(prefer.back, Some(Return::Representation));
        assert_eq!(
            prefer.applied(true),
            "resolution=merge-duplicates, missing=default, return=representation, count=exact"
        );
        assert_eq!(prefer.applied(false), "count=exact");
        let strict = read(&["handling=strict, max-affected=3"]).unwrap();
        assert_eq!(
            (strict.bound(), read(&["max-affected=3"]).unwrap().bound()),
            (Some(3), None)
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for wrong in [
            "return=all",
            "count=yes",
            "resolution=",
            "missing=x",
            "tx=no",
            "handling=hard",
            "max-affected=-1",
            "handling=strict, respond-async",
        ] {
            let problem = read(&[wrong]).unwrap_err();
            assert_eq!(problem.status(), 400, "{wrong}");
            assert!(problem.json().contains("PGRST122"), "{wrong}");
        }
        assert!(read(&["respond-async, wait=10"]).is_ok());
    }
}
