//! Which of the forms that an answer has is wanted: the header `Accept` (RFC 9110, 12.5.1).

use actix_web::HttpRequest;
use actix_web::http::header::ACCEPT;

/// The form that a request prefers of those that are `offered`; the first one if it does not say. None when it wants none
/// of them.
pub fn choose(request: &HttpRequest, offered: &[&'static str]) -> Option<&'static str> {
    let values = request.headers().get_all(ACCEPT);
    let text: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    best(&text.join(","), offered)
}

fn best(text: &str, offered: &[&'static str]) -> Option<&'static str> {
    let ranges: Vec<Range<'_>> = text.split(',').filter_map(Range::parse).collect();
    if ranges.is_empty() && text.trim().is_empty() {
        return offered.first().copied();
    }
    let mut best = None;
    for form in offered {
        // The most specific range that a form is in says how much it is wanted.
        let of_form = ranges.iter().enumerate().filter(|(_, r)| r.has(form));
        let range = of_form.max_by_key(|(place, range)| (range.precision(), usize::MAX - place));
        let Some((place, range)) = range.filter(|(_, range)| range.quality > 0) else {
            continue;
        };
        // Of two that are wanted as much: the one that is named, then the one that is named first.
        let rank = (range.quality, range.precision(), usize::MAX - place);
        if best.is_none_or(|(other, _)| rank > other) {
            best = Some((rank, *form));
        }
    }
    best.map(|(_, form)| form)
}

/// `type/subtype;q=0.5`
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// In thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';');
        let (kind, subtype) = parts.next()?.trim().split_once('/')?;
        let mut quality = 1_000;
        for part in parts {
            let (name, value) = part.trim().split_once('=')?;
            if name.eq_ignore_ascii_case("q") {
                let value: f32 = value.parse().ok()?;
                quality = (value.clamp(0.0, 1.0) * 1_000.0) as u16;
            }
        }
        Some(Self {
            kind,
            subtype,
            quality,
        })
    }

    fn has(&self, form: &str) -> bool {
        let is = |range: &str, own: &str| range == "*" || range.eq_ignore_ascii_case(own);
        form.split_once('/')
            .is_some_and(|(kind, subtype)| is(self.kind, kind) && is(self.subtype, subtype))
    }

    fn precision(&self) -> u8 {
        u8::from(self.kind != "*") + u8::from(self.subtype != "*")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_that_is_wanted_most_is_chosen() {
        const OFFERED: [&str; 2] = ["application/json", "application/x-ndjson"];
        for (accept, expected) in [
            ("", Some(0)),
            ("*/*", Some(0)),
            ("application/*", Some(0)),
            ("text/html, */*;q=0.1", Some(0)),
            ("application/json", Some(0)),
            ("application/x-ndjson", Some(1)),
            ("APPLICATION/X-NDJSON; charset=utf-8", Some(1)),
            ("application/x-ndjson, */*", Some(1)),
            ("application/x-ndjson, application/json", Some(1)),
            ("application/json, application/x-ndjson", Some(0)),
            ("application/x-ndjson;q=0.5, application/json", Some(0)),
            ("application/json;q=0, */*", Some(1)),
            ("application/x-ndjson;q=0.2, */*;q=0.1", Some(1)),
            ("text/html", None),
            ("application/json;q=0", None),
            ("nonsense", None),
            ("application/json;q=x", None),
        ] {
            let expected = expected.map(|i: usize| OFFERED[i]);
            assert_eq!(best(accept, &OFFERED), expected, "{accept}");
        }
    }
}
