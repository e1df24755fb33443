//! Dates and times, as PostgreSQL writes them in JSON and as a filter may have them: ISO 8601.

/// A point on a scale that orders as PostgreSQL does: days for a date, microseconds for the others.
pub type Moment = i64;

const US_PER_S: i64 = 1_000_000;
const US_PER_DAY: i64 = 86_400 * US_PER_S;

/// What a text is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `date`
    Date,
    /// `time`
    Time,
    /// `timestamp`
    Timestamp,
    /// `timestamptz`
    Timestamptz,
}

/// Reads a value that PostgreSQL has written as JSON, with UTC as its time zone.
pub fn read(form: Form, text: &str) -> Option<Moment> {
    if form == Form::Time {
        return match clock(text)? {
            (us, "") => Some(us),
            _ => None,
        };
    }
    if let Some(end) = infinite(text) {
        return Some(end);
    }
    let (text, is_bc) = match text.strip_suffix(" BC") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let (days, rest) = day(text, is_bc)?;
    match form {
        Form::Date => rest.is_empty().then_some(days),
        _ => {
            let (us, zone) = clock(rest.strip_prefix('T')?)?;
            let is_right = match form {
                Form::Timestamptz => zone == "+00:00",
                _ => zone.is_empty(),
            };
            let at = days.checked_mul(US_PER_DAY)?.checked_add(us)?;
            is_right.then_some(at)
        }
    }
}

/// Reads a value of a filter.
///
/// # Errors
/// What it should have been, for people.
pub fn parse(form: Form, text: &str) -> Result<Moment, &'static str> {
    if form == Form::Time {
        let wrong = "a time has the form 23:59:59.999999";
        return match clock(text).ok_or(wrong)? {
            (us, "") if us < US_PER_DAY => Ok(us),
            _ => Err(wrong),
        };
    }
    if let Some(end) = infinite(text) {
        return Ok(end);
    }
    let wrong = match form {
        Form::Date => "a date has the form 2026-11-23",
        Form::Timestamp => {
            "a timestamp has the form 2026-11-23T08:00:00.000001, without a time zone"
        }
        _ => {
            "a timestamp has the form 2026-11-23T08:00:00.000001Z or ...%2B02:00 (a plain + is a blank in a query); without a zone it is UTC"
        }
    };
    let year = text.split('-').next().unwrap_or_default();
    let (days, rest) = day(text, false).filter(|_| year.len() == 4).ok_or(wrong)?;
    let at = match rest {
        "" if form == Form::Date => return Ok(days),
        "" => days * US_PER_DAY,
        _ if form == Form::Date => return Err(wrong),
        rest => {
            let (us, zone) = rest
                .strip_prefix(['T', 't', ' '])
                .and_then(clock)
                .filter(|(us, _)| *us < US_PER_DAY)
                .ok_or(wrong)?;
            let offset_s = match zone {
                "" => 0,
                _ if form == Form::Timestamp => return Err(wrong),
                zone => offset(zone).ok_or(wrong)?,
            };
            days * US_PER_DAY + us - offset_s * US_PER_S
        }
    };
    // Its text has to have a year of four digits as well.
    let is_writable = (day("0001-01-01", false).map(|d| d.0 * US_PER_DAY)
        ..day("10000-01-01", false).map(|d| d.0 * US_PER_DAY))
        .contains(&Some(at));
    is_writable.then_some(at).ok_or(wrong)
}

/// As PostgreSQL reads it. Equal moments have equal texts.
pub fn text(form: Form, at: Moment) -> String {
    match at {
        Moment::MAX => return "infinity".into(),
        Moment::MIN => return "-infinity".into(),
        _ => {}
    }
    let (days, us) = match form {
        Form::Date => (at, 0),
        Form::Time => (0, at),
        _ => (at.div_euclid(US_PER_DAY), at.rem_euclid(US_PER_DAY)),
    };
    let (s, us) = (us / US_PER_S, us % US_PER_S);
    let time = format!("{:02}:{:02}:{:02}.{us:06}", s / 3_600, s / 60 % 60, s % 60);
    let (y, m, d) = civil(days);
    match form {
        Form::Date => format!("{y:04}-{m:02}-{d:02}"),
        Form::Time => time,
        Form::Timestamp => format!("{y:04}-{m:02}-{d:02}T{time}"),
        Form::Timestamptz => format!("{y:04}-{m:02}-{d:02}T{time}Z"),
    }
}

fn infinite(text: &str) -> Option<Moment> {
    match text {
        "infinity" => Some(Moment::MAX),
        "-infinity" => Some(Moment::MIN),
        _ => None,
    }
}

/// A number of so many digits, and what is behind it.
fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<(i64, &str)> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    if !digits.contains(&end) {
        return None;
    }
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// `YYYY-MM-DD` as days since 2000-01-01, and what is behind it.
fn day(text: &str, is_bc: bool) -> Option<(i64, &str)> {
    let (year, rest) = number(text, 4..=7)?;
    let (month, rest) = number(rest.strip_prefix('-')?, 2..=2)?;
    let (day, rest) = number(rest.strip_prefix('-')?, 2..=2)?;
    // There is no year 0: the one before 1 is 1 BC.
    let year = match is_bc {
        true => 1 - year,
        false if year == 0 => return None,
        false => year,
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => 31,
    };
    let is_valid = (1..=12).contains(&month) && (1..=length).contains(&day);
    is_valid.then(|| (days(year, month, day), rest))
}

/// Days since 2000-01-01 (as PostgreSQL counts: its last timestamp would not fit otherwise) in the proleptic Gregorian calendar. Years are counted from March, so that a leap day is the
/// last of its year, and in eras of 400 years, which all have the same number of days.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 730_425
}

/// The opposite.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 730_425;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// `HH:MM[:SS[.ffffff]]` in microseconds, and what is behind it.
fn clock(text: &str) -> Option<(i64, &str)> {
    let (hour, rest) = number(text, 2..=2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2..=2)?;
    let (mut second, mut us, mut rest) = (0, 0, rest);
    if let Some(after) = rest.strip_prefix(':') {
        (second, rest) = number(after, 2..=2)?;
        if let Some(after) = rest.strip_prefix('.') {
            let (fraction, end) = number(after, 1..=6)?;
            us = fraction * 10_i64.pow(6 - (after.len() - end.len()) as u32);
            rest = end;
        }
    }
    let of_day = (hour * 3_600 + minute * 60 + second) * US_PER_S + us;
    let is_valid = hour <= 24 && minute <= 59 && second <= 59 && of_day <= US_PER_DAY;
    is_valid.then_some((of_day, rest))
}

/// `Z`, `+HH`, `+HH:MM` or `+HHMM` in seconds.
fn offset(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = match &text[1..] {
        rest if rest.len() == 4 => rest.split_at_checked(2)?,
        rest => rest.split_once(':').unwrap_or((rest, "00")),
    };
    let part = |text| number(text, 2..=2).filter(|(_, rest)| rest.is_empty());
    let (hours, minutes) = (part(hours)?.0, part(minutes)?.0);
    (hours <= 15 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postgresql_writes_is_read() {
        for (form, text, at) in [
            (Form::Date, "2000-01-02", 1),
            (Form::Date, "0001-01-01", -730_119),
            (Form::Date, "0001-12-31 BC", -730_120),
            (Form::Date, "4713-01-01 BC", -2_451_507),
            (Form::Date, "infinity", i64::MAX),
            (Form::Time, "00:00:01.5", 1_500_000),
            (Form::Time, "24:00:00", US_PER_DAY),
            (Form::Timestamp, "2000-01-01T00:00:00.000001", 1),
            (Form::Timestamptz, "2000-01-01T00:00:01+00:00", 1_000_000),
            (
                Form::Timestamptz,
                "294276-12-31T23:59:59.999999+00:00",
                9_223_371_331_199_999_999,
            ),
            (Form::Timestamptz, "-infinity", i64::MIN),
        ] {
            assert_eq!(read(form, text), Some(at), "{text}");
        }
        assert_eq!(read(Form::Timestamp, "1970-01-01T00:00:01+00:00"), None);
        assert_eq!(read(Form::Timestamptz, "1970-01-01T00:00:01"), None);
        assert_eq!(read(Form::Date, "1"), None);
    }

    #[test]
    fn what_a_filter_has_is_read() {
        for (form, text, expected) in [
            (Form::Date, "2026-11-23", "2026-11-23"),
            (Form::Time, "08:30", "08:30:00.000000"),
            (
                Form::Timestamp,
                "2026-11-23 08:30",
                "2026-11-23T08:30:00.000000",
            ),
            (
                Form::Timestamptz,
                "2026-11-23",
                "2026-11-23T00:00:00.000000Z",
            ),
            (
                Form::Timestamptz,
                "2026-11-23T01:00:00.25+02:00",
                "2026-11-22T23:00:00.250000Z",
            ),
            (
                Form::Timestamptz,
                "2026-11-23T01:00:00-0330",
                "2026-11-23T04:30:00.000000Z",
            ),
            (
                Form::Timestamptz,
                "2026-11-23T01:00Z",
                "2026-11-23T01:00:00.000000Z",
            ),
            (Form::Timestamptz, "infinity", "infinity"),
        ] {
            assert_eq!(text_of(form, text), expected, "{text}");
        }
    }

    fn text_of(form: Form, value: &str) -> String {
        parse(form, value).map_or_else(Into::into, |at| text(form, at))
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for (form, text) in [
            (Form::Date, "2026-02-29"),
            (Form::Date, "2026-13-01"),
            (Form::Date, "26-01-01"),
            (Form::Date, "12026-01-01"),
            (Form::Date, "0000-01-01"),
            (Form::Date, "now"),
            (Form::Date, "2026-11-23T00:00"),
            (Form::Time, "24:00"),
            (Form::Time, "8:00"),
            (Form::Timestamp, "2026-11-23T08:00:00Z"),
            (Form::Timestamptz, "2026-11-23T08:00:00 02:00"),
            (Form::Timestamptz, "2026-11-23T08:00:00.1234567Z"),
            (Form::Timestamptz, "2026-11-23T08:00:60Z"),
            (Form::Timestamptz, "0001-01-01T00:00:00+01:00"),
            (Form::Timestamptz, "yesterday"),
            (Form::Timestamptz, ""),
        ] {
            assert!(parse(form, text).is_err(), "{text}");
        }
    }

    #[test]
    fn days_and_dates_are_each_others_opposite() {
        for at in (-800_000..3_000_000).step_by(97) {
            let (y, m, d) = civil(at);
            assert_eq!(days(y, m, d), at);
        }
    }
}
