//! What a client offers in `Sec-WebSocket-Extensions`, and what is taken of it: permessage-deflate without context
//! takeover (RFC 7692, section 7.1). It decides only; the header is the caller's.

/// The extension.
const NAME: &str = "permessage-deflate";

/// The answer to an offer that is taken.
const TAKEN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The answer to one that bounds the server's window by what it is anyway: it has to be repeated (section 7.1.2.1).
const TAKEN_WITH_WINDOW: &str = "permessage-deflate; server_no_context_takeover; \
    client_no_context_takeover; server_max_window_bits=15";

/// The largest window, which frames that are shared are compressed with.
const WINDOW_BITS: u8 = 15;

/// The header is not what RFC 6455, section 9.1 allows, and the connection has to be failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no list of extensions as RFC 6455, section 9.1 has it")]
pub struct Malformed;

/// The header's value for the answer, if one of the offers can be taken: the first that can. `values` are those of all
/// headers of this name, in their order.
///
/// # Errors
/// If one of them can't be read.
pub fn answer<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<&'static str>, Malformed> {
    let mut taken = None;
    for value in values {
        let mut rest = Rest(value);
        loop {
            // A list may have empty elements (RFC 9110, section 5.6.1.2).
            while rest.eat(b',') {}
            if rest.is_empty() {
                break;
            }
            let offer = rest.offer()?;
            taken = taken.or(offer);
            if !rest.eat(b',') && !rest.is_empty() {
                return Err(Malformed);
            }
        }
    }
    Ok(taken)
}

/// What has not been read of a header.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn skip_blanks(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }

    fn is_empty(&mut self) -> bool {
        self.skip_blanks();
        self.0.is_empty()
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.skip_blanks();
        let rest = self.0.strip_prefix(&[byte]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// A token (RFC 9110, section 5.6.2).
    fn token(&mut self) -> Result<&'a str, Malformed> {
        self.skip_blanks();
        let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
        let len = self.0.iter().take_while(|b| is_token(b)).count();
        let (token, rest) = self.0.split_at(len);
        self.0 = rest;
        match str::from_utf8(token) {
            Ok(token) if len > 0 => Ok(token),
            _ => Err(Malformed),
        }
    }

    /// A value: a token, which may be quoted and then have backslashes (RFC 6455, section 9.1).
    fn value(&mut self) -> Result<String, Malformed> {
        if !self.eat(b'"') {
            return self.token().map(str::to_owned);
        }
        let mut value = Vec::new();
        loop {
            let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            match byte {
                b'"' => break,
                b'\\' => {
                    let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
                    self.0 = rest;
                    value.push(*byte);
                }
                byte => value.push(*byte),
            }
        }
        let mut inner = Rest(&value);
        let token = inner.token()?;
        match inner.0.is_empty() && token.len() == value.len() {
            true => Ok(token.to_owned()),
            false => Err(Malformed),
        }
    }

    /// One extension with its parameters; the answer, if it can be taken.
    fn offer(&mut self) -> Result<Option<&'static str>, Malformed> {
        let is_ours = self.token()?.eq_ignore_ascii_case(NAME);
        let mut params = Params::default();
        let mut fits = true;
        while self.eat(b';') {
            let name = self.token()?;
            let value = self.eat(b'=').then(|| self.value()).transpose()?;
            fits &= is_ours && params.take(name, value.as_deref());
        }
        Ok(match is_ours && fits {
            true if params.server_max_window_bits => Some(TAKEN_WITH_WINDOW),
            true => Some(TAKEN),
            false => None,
        })
    }
}

/// The parameters of an offer that have been seen (section 7.1).
#[derive(Default)]
struct Params {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: bool,
    client_max_window_bits: bool,
}

impl Params {
    /// Takes one. False if the offer has to be declined for it: it is not known, has no such value, is there twice, or
    /// asks for a smaller window than shared frames have.
    fn take(&mut self, name: &str, value: Option<&str>) -> bool {
        let (seen, fits) = match name {
            "server_no_context_takeover" => (&mut self.server_no_context_takeover, value.is_none()),
            "client_no_context_takeover" => (&mut self.client_no_context_takeover, value.is_none()),
            "server_max_window_bits" => (
                &mut self.server_max_window_bits,
                value.and_then(window_bits) == Some(WINDOW_BITS),
            ),
            // What the client may use at most. Whatever that is can be inflated, so the answer does not speak of it.
            "client_max_window_bits" => (
                &mut self.client_max_window_bits,
                value.is_none_or(|value| window_bits(value).is_some()),
            ),
            _ => return false,
        };
        !std::mem::replace(seen, true) && fits
    }
}

/// From 8 to 15, without a leading zero (section 7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok()?;
    let is_plain = value.bytes().all(|b| b.is_ascii_digit()) && !value.starts_with('0');
    (is_plain && (8..=15).contains(&bits)).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Result<Option<&'static str>, Malformed> {
        answer(values.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn offers_are_taken_or_declined() {
        for (offer, expected) in [
            ("permessage-deflate", Some(TAKEN)),
            ("Permessage-Deflate ;client_max_window_bits", Some(TAKEN)),
            ("permessage-deflate; client_max_window_bits=9", Some(TAKEN)),
            (
                "permessage-deflate; client_max_window_bits=\"15\"",
                Some(TAKEN),
            ),
            (
                "permessage-deflate; client_max_window_bits=\"1\\5\"",
                Some(TAKEN),
            ),
            (TAKEN, Some(TAKEN)),
            (
                "permessage-deflate; server_max_window_bits=15",
                Some(TAKEN_WITH_WINDOW),
            ),
            (TAKEN_WITH_WINDOW, Some(TAKEN_WITH_WINDOW)),
            ("", None),
            (" , ", None),
            ("x-webkit-deflate-frame", None),
            ("mux; max-channels=4; \t flow-control, other", None),
            ("permessage-deflate; server_max_window_bits=10", None),
            ("permessage-deflate; server_max_window_bits", None),
            ("permessage-deflate; server_max_window_bits=015", None),
            ("permessage-deflate; server_max_window_bits=+15", None),
            ("permessage-deflate; client_max_window_bits=7", None),
            ("permessage-deflate; client_max_window_bits=16", None),
            ("permessage-deflate; client_max_window_bits=256", None),
            ("permessage-deflate; client_max_window_bits=08", None),
            ("permessage-deflate; server_no_context_takeover=1", None),
            (
                "permessage-deflate; client_max_window_bits; client_max_window_bits",
                None,
            ),
            ("permessage-deflate; shiny", None),
            ("permessage-bzip2, permessage-deflate", Some(TAKEN)),
            (
                "permessage-deflate; server_max_window_bits=9, permessage-deflate; client_max_window_bits",
                Some(TAKEN),
            ),
            (
                "permessage-deflate; server_max_window_bits=15, permessage-deflate",
                Some(TAKEN_WITH_WINDOW),
            ),
        ] {
            assert_eq!(of(&[offer]), Ok(expected), "{offer:?}");
        }
    }

    #[test]
    fn several_headers_are_one_list() {
        assert_eq!(of(&["mux", "permessage-deflate"]), Ok(Some(TAKEN)));
        assert_eq!(of(&["mux", "foo"]), Ok(None));
        assert_eq!(of(&[]), Ok(None));
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        for value in [
            ";",
            "permessage-deflate;",
            "permessage-deflate;;client_max_window_bits",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; client_max_window_bits=\"15",
            "permessage-deflate; client_max_window_bits=\"15\\",
            "permessage-deflate; client_max_window_bits=\"1 5\"",
            "permessage-deflate; client_max_window_bits=\"\"",
            "permessage-deflate mux",
            "permessage-deflate, ;",
            "=",
            "permessage-d\u{e9}flate",
        ] {
            assert_eq!(of(&[value]), Err(Malformed), "{value:?}");
        }
        assert_eq!(of(&["permessage-deflate", "\""]), Err(Malformed));
    }
}
