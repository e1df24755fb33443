//! What was looked at, and how it is said: to people, and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::text::one_line;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// Not as it should be: the exit status is 1.
    Wrong,
    /// Worth knowing; nothing has to be done.
    Note,
    /// Could not be looked at, because of something else that is wrong, or not asked for.
    Skipped,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check: a fixed word.
    pub check: &'static str,
    /// How it came out.
    pub state: State,
    /// What is so.
    pub what: String,
    /// Why it matters; empty where nothing is wrong.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub why: &'static str,
    /// What to do; empty where nothing is wrong.
    #[serde(rename = "do", skip_serializing_if = "String::is_empty")]
    pub todo: String,
}

/// All of it.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Whether nothing is wrong.
    healthy: bool,
    /// In the order in which it was looked at.
    findings: Vec<Finding>,
}

impl Report {
    /// As it should be.
    pub fn ok(&mut self, check: &'static str, what: impl Into<String>) {
        self.add(check, State::Ok, what, "", "");
    }

    /// Could not be looked at.
    pub fn skip(&mut self, check: &'static str, what: impl Into<String>) {
        self.add(check, State::Skipped, what, "", "");
    }

    /// Not as it should be.
    pub fn wrong(
        &mut self,
        check: &'static str,
        what: impl Into<String>,
        why: &'static str,
        todo: impl Into<String>,
    ) {
        self.add(check, State::Wrong, what, why, todo);
    }

    /// Worth knowing.
    pub fn note(
        &mut self,
        check: &'static str,
        what: impl Into<String>,
        why: &'static str,
        todo: impl Into<String>,
    ) {
        self.add(check, State::Note, what, why, todo);
    }

    /// How many notes there are.
    pub fn notes(&self) -> usize {
        let notes = self.findings.iter().filter(|f| f.state == State::Note);
        notes.count()
    }

    fn add(
        &mut self,
        check: &'static str,
        state: State,
        what: impl Into<String>,
        why: &'static str,
        todo: impl Into<String>,
    ) {
        self.findings.push(Finding {
            check,
            state,
            what: what.into(),
            why,
            todo: todo.into(),
        });
    }

    /// How many things are wrong.
    pub fn wrongs(&self) -> usize {
        self.count(State::Wrong)
    }

    fn count(&self, state: State) -> usize {
        self.findings.iter().filter(|f| f.state == state).count()
    }

    /// Whether this check has something wrong.
    pub fn is_wrong(&self, check: &str) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|f| f.check == check && f.state == State::Wrong)
    }

    /// Whether there was something to say about this check.
    pub fn was_made(&self, check: &str) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|f| f.check == check && f.state != State::Skipped)
    }

    /// For programs.
    pub fn json(mut self) -> String {
        self.healthy = self.wrongs() == 0;
        // Strings and a boolean: that can't fail.
        serde_json::to_string_pretty(&self).unwrap_or_default()
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let state = match finding.state {
                State::Ok => "ok",
                State::Wrong => "WRONG",
                State::Note => "note",
                State::Skipped => "-",
            };
            // Writing into a String can't fail.
            let what = one_line(&finding.what);
            let _ = writeln!(text, "{state:5}  {:13} {what}", finding.check);
            for (name, said) in [("why", finding.why), ("do", finding.todo.as_str())] {
                if !said.is_empty() {
                    let _ = writeln!(text, "       {name:>13} {}", one_line(said));
                }
            }
        }
        let _ = match (self.wrongs(), self.count(State::Note)) {
            (0, 0) => writeln!(text, "\nNothing is wrong."),
            (0, notes) => writeln!(text, "\nNothing is wrong; {notes} to know."),
            (1, _) => writeln!(text, "\nOne thing is wrong."),
            (n, _) => writeln!(text, "\n{n} things are wrong."),
        };
        text
    }
}

/// A time for people.
pub fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3_600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

/// A size for people.
pub fn size(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut size, mut unit) = (bytes as f64, 0);
    while size >= 1_024.0 && unit < UNITS.len() - 1 {
        size /= 1_024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{size:.1} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_why_and_what_to_do() {
        let mut report = Report::default();
        report.ok("connection", "there");
        report.wrong("triggers", "one is gone", "nobody sees it", "put it back");
        report.note("retention", "short", "", "");
        assert_eq!(
            report.text(),
            "ok     connection    there\n\
             WRONG  triggers      one is gone\n                 why nobody sees it\n                  do put it back\n\
             note   retention     short\n\nOne thing is wrong.\n"
        );
        assert!(report.is_wrong("triggers") && !report.is_wrong("retention"));
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["healthy"], false);
        assert_eq!(json["findings"][1]["do"], "put it back");
        assert_eq!(json["findings"][0].get("why"), None);
        assert!(Report::default().json().contains("\"healthy\": true"));
    }

    #[test]
    fn a_name_of_others_makes_no_line_and_moves_no_cursor() {
        let mut report = Report::default();
        let evil = "public.\"a\u{1b}[2J\nok     tables        all is well\"";
        report.wrong(
            "triggers",
            evil,
            "",
            format!("select plank.watch('{evil}')"),
        );
        let text = report.text();
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(time(0.0002), "200 µs");
        assert_eq!(time(0.25), "250 ms");
        assert_eq!(time(90.0), "90 s");
        assert_eq!(time(86_400.0), "24 h");
        assert_eq!(size(512), "512 B");
        assert_eq!(size(3 << 20), "3.0 MiB");
    }
}
