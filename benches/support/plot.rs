//! A picture of a benchmark: bars in groups, as SVG, beside docs/bench.md.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::Outcome;

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/bench");

/// Pixels.
const WIDTH: f64 = 720.0;
const LABEL: f64 = 280.0;
const FIGURE: f64 = 110.0;
const BAR: f64 = 18.0;
const GAP: f64 = 14.0;
const TOP: f64 = 34.0;

/// One bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Whose.
    pub label: String,
    /// Its length, not negative.
    pub value: f64,
    /// As it is written at its end.
    pub figure: String,
    /// Whether it is plank's.
    pub is_plank: bool,
}

/// Bars that are compared with one another: each group has a scale of its own.
#[derive(Clone, Debug)]
pub struct Plot {
    /// What is shown, and in which unit.
    pub title: String,
    /// The groups, from above.
    pub groups: Vec<Vec<Bar>>,
}

impl Plot {
    /// The picture; readable on a light page and on a dark one.
    fn svg(&self) -> String {
        let mut body = String::new();
        let mut y = TOP;
        for group in &self.groups {
            let largest = group.iter().map(|bar| bar.value).fold(0.0, f64::max);
            for bar in group {
                let scale = if largest > 0.0 {
                    bar.value / largest
                } else {
                    0.0
                };
                let width = (WIDTH - LABEL - FIGURE) * scale;
                let class = if bar.is_plank { "plank" } else { "other" };
                let (middle, right) = (y + BAR / 2.0, LABEL + width + 6.0);
                // Writing into a String can't fail.
                let _ = writeln!(
                    body,
                    "<text class=\"label\" x=\"{:.1}\" y=\"{middle:.1}\">{}</text>\
                     <rect class=\"{class}\" x=\"{LABEL:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" rx=\"2\"/>\
                     <text x=\"{right:.1}\" y=\"{middle:.1}\">{}</text>",
                    LABEL - 8.0,
                    escape(&bar.label),
                    y + 1.0,
                    BAR - 2.0,
                    escape(&bar.figure),
                );
                y += BAR;
            }
            y += GAP;
        }
        let title = escape(&self.title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {y:.0}\" role=\"img\" aria-label=\"{title}\">\n\
             <style>text{{font:12px system-ui,sans-serif;fill:#57606a;dominant-baseline:central}}\
             .label{{text-anchor:end}}.title{{font-weight:600;font-size:13px}}.plank{{fill:#1f7a5c}}.other{{fill:#9aa4ae}}\
             @media(prefers-color-scheme:dark){{text{{fill:#b6bec8}}.plank{{fill:#3fb68b}}.other{{fill:#59636e}}}}</style>\n\
             <text class=\"title\" x=\"8\" y=\"15\">{title}</text>\n{body}</svg>\n"
        )
    }

    /// Keeps it under a benchmark's name; what docs/bench.md shows it with.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn save(&self, name: &str) -> Outcome<()> {
        fs::create_dir_all(DIR)?;
        fs::write(Path::new(DIR).join(format!("{name}.svg")), self.svg())?;
        Ok(())
    }

    /// Markdown that shows it in docs/bench.md.
    pub fn markdown(&self, name: &str) -> String {
        format!("![{}](bench/{name}.svg)\n\n", self.title)
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
