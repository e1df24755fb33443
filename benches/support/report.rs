//! What a benchmark has to say, as Markdown that can be read in a terminal as well, and the file that keeps it.

use std::fs;
use std::path::Path;

use super::Outcome;
use super::machine::Machine;
use super::plot::Plot;
use crate::cases::CASES;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/bench.md");

const HEAD: &str = "# Benchmarks\n\nWritten by `cargo bench --bench load -- --save` (`benches/load.rs`). Each section \
    says when, where and how it was measured.\n";

/// A figure that has a bound.
#[derive(Debug)]
pub struct Verdict {
    /// A sentence with the figure and its bound.
    pub text: String,
    /// Whether it holds.
    pub is_within: bool,
}

/// The result of one benchmark.
#[derive(Debug, Default)]
pub struct Report {
    /// What was measured, in words.
    pub method: String,
    /// What belongs to the figures beside the machine.
    pub facts: Vec<(&'static str, String)>,
    /// The first row is the head; the first column is text, the others are figures.
    pub table: Vec<Vec<String>>,
    /// The same as a picture, where one says more.
    pub plot: Option<Plot>,
    /// What follows from it.
    pub verdicts: Vec<Verdict>,
}

impl Report {
    /// Whether all verdicts are good.
    pub fn is_within_bounds(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.is_within)
    }

    /// Everything, with the title that [`save`] finds it by.
    pub fn section(&self, name: &str, about: &str, machine: &Machine) -> String {
        let mut text = format!("{}{about}\n\n{}\n\n", title(name), self.method);
        text += &machine.facts(&self.facts);
        text.push('\n');
        if let Some(plot) = &self.plot {
            text += &plot.markdown(name);
        }
        text += &table(&self.table);
        for verdict in &self.verdicts {
            let mark = if verdict.is_within {
                ""
            } else {
                " **Not within the bound.**"
            };
            text += &format!("\n{}.{mark}\n", verdict.text);
        }
        text
    }
}

fn title(name: &str) -> String {
    format!("## {name}: ")
}

/// Columns of one width each, so that the source is as readable as the page.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
                .max(3)
        })
        .collect();
    let mut text = String::new();
    for (i, row) in rows.iter().enumerate() {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            text += &match column {
                0 => format!("| {cell:<width$} "),
                _ => format!("| {cell:>width$} "),
            };
        }
        text += "|\n";
        if i == 0 {
            for (column, width) in widths.iter().enumerate() {
                text += &match column {
                    0 => format!("|:{} ", "-".repeat(*width)),
                    _ => format!("| {}:", "-".repeat(*width)),
                };
            }
            text += "|\n";
        }
    }
    text
}

/// Puts a section into docs/bench.md in place of the one of the same name; the others stay as they are.
///
/// # Errors
/// If the file can't be read or written.
pub fn save(name: &str, section: &str) -> Outcome<()> {
    let path = Path::new(FILE);
    let former = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.into()),
    };
    let mut text = String::from(HEAD);
    for case in CASES {
        let kept = if case.name == name {
            Some(section)
        } else {
            find(&former, case.name)
        };
        if let Some(kept) = kept {
            text += "\n";
            text += kept.trim_end();
            text += "\n";
        }
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, text)?;
    eprintln!("load: kept in docs/bench.md");
    Ok(())
}

/// From a section's title to the next one.
fn find<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let start = text.find(&format!("\n{}", title(name)))? + 1;
    let rest = &text[start..];
    Some(rest.find("\n## ").map_or(rest, |end| &rest[..end]))
}
