//! Places in the WAL.

/// Bytes of a page of the WAL, as PostgreSQL is built unless its build sets another size.
const PAGE: u64 = 8192;

/// Bytes of the header of a page, and of the first page of a file.
const HEADERS: [u64; 2] = [24, 40];

/// A place in the WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lsn(u64);

impl Lsn {
    /// Reads PostgreSQL's text form.
    pub fn parse(text: &str) -> Option<Self> {
        let (high, low) = text.split_once('/')?;
        let (high, low) = (parse_hex(high)?, parse_hex(low)?);
        Some(Self(high << 32 | low))
    }

    /// The end of the last record before this place. Where that record ends with its page, the place at which the next one is going
    /// to be inserted is behind the header of the next page, which nothing replays before there is a record.
    pub fn end_of_record(self) -> Self {
        match HEADERS.contains(&(self.0 % PAGE)) {
            true => Self(self.0 - self.0 % PAGE),
            false => self,
        }
    }
}

fn parse_hex(text: &str) -> Option<u64> {
    let is_hex = (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_the_order_of_the_wal() {
        let places = [
            "0/0",
            "0/FF",
            "0/100",
            "0/FFFFFFFF",
            "1/0",
            "1A/2",
            "FFFFFFFF/FFFFFFFF",
        ];
        let places: Vec<Lsn> = places
            .iter()
            .map(|text| Lsn::parse(text).unwrap())
            .collect();
        assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
    }

    #[test]
    fn what_is_no_place_is_none() {
        for text in [
            "",
            "0",
            "/",
            "0/",
            "/0",
            "0/g",
            "0/+1",
            "123456789/0",
            "0/0/0",
            "-1/0",
        ] {
            assert_eq!(Lsn::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_record_does_not_end_in_the_header_of_a_page() {
        for (inserted, ended) in [
            ("0/2000000", "0/2000000"),
            ("0/2000018", "0/2000000"),
            ("0/2000028", "0/2000000"),
            ("0/2000020", "0/2000020"),
            ("0/2002018", "0/2002000"),
            ("0/2002030", "0/2002030"),
        ] {
            let of = |text| Lsn::parse(text).unwrap();
            assert_eq!(of(inserted).end_of_record(), of(ended), "{inserted}");
        }
    }
}
