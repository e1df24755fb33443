//! Python: a data class for a row, and typed dictionaries for what is written. Python 3.11 and later.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::store::shapes::{Column, Kind, Shape, Shapes, Type};

use super::Style;
use super::names::{comment_lines, name_in_schema, quoted, unique};

/// Names of types, by identifier.
type Names = BTreeMap<u32, String>;

const HEAD: &str = "\
# Made by plank gen types. Do not edit: run it again when the tables change.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NotRequired, Self, TypedDict
";

/// Words that can't be a name.
const KEYWORDS: &str = " False None True and as assert async await break class continue def del elif else except finally for from \
    global if import in is lambda nonlocal not or pass raise return try while with yield ";

/// Names of the file's own.
const TAKEN: [&str; 9] = [
    "Any",
    "ClassVar",
    "Literal",
    "Mapping",
    "NotRequired",
    "Self",
    "TypedDict",
    "T",
    "_",
];

/// All of the file.
pub(super) fn write(shapes: &Shapes, style: Style) -> String {
    let mut taken: BTreeSet<String> = TAKEN.map(str::to_owned).into();
    let types = named_types(shapes, &mut taken);
    let mut out = HEAD.to_owned();
    if !types.is_empty() {
        out.push('\n');
    }
    for (id, name) in &types {
        match &shapes.types[id].kind {
            Kind::Enum { labels } => {
                let labels: Vec<String> = labels.iter().map(|l| quoted(l)).collect();
                let of = match labels.is_empty() {
                    true => "str".to_owned(),
                    false => format!("Literal[{}]", labels.join(", ")),
                };
                let _ = writeln!(out, "{name} = {of}");
            }
            Kind::Composite { members } => {
                let members = members.iter().map(|m| {
                    let of = name_of(shapes, &types, m.r#type, style);
                    format!("{}: {}", quoted(&m.name), quoted(&format!("{of} | None")))
                });
                let members: Vec<String> = members.collect();
                let _ = writeln!(
                    out,
                    "{name} = TypedDict({}, {{{}}})",
                    quoted(name),
                    members.join(", ")
                );
            }
            _ => {}
        }
    }
    for table in &shapes.tables {
        let name = name_in_schema(&mut taken, &table.schema, &table.name);
        row(&mut out, table, &name, shapes, &types, style);
        for (suffix, is_insert) in [("Insert", true), ("Update", false)] {
            let name = unique(&mut taken, format!("{name}{suffix}"));
            written(&mut out, table, &name, is_insert, shapes, &types, style);
        }
    }
    out
}

/// The names of enums and composite types, by identifier.
fn named_types(shapes: &Shapes, taken: &mut BTreeSet<String>) -> Names {
    let is_named = |t: &Type| matches!(t.kind, Kind::Enum { .. } | Kind::Composite { .. });
    let named = shapes.types.iter().filter(|(_, t)| is_named(t));
    let named = named.map(|(id, t)| (*id, name_in_schema(taken, &t.schema, &t.name)));
    named.collect()
}

fn row(out: &mut String, table: &Shape, name: &str, shapes: &Shapes, types: &Names, style: Style) {
    let mut fields = BTreeSet::from(["from_row".to_owned(), "columns".to_owned()]);
    let mut columns = Vec::new();
    let _ = writeln!(out, "\n\n@dataclass(frozen=True, slots=True, kw_only=True)");
    let _ = writeln!(out, "class {name}:");
    let said = comment_lines(table.comment.as_deref()).join(" ");
    let said = if said.is_empty() {
        format!("A row of {}.{}.", table.schema, table.name)
    } else {
        said
    };
    let _ = writeln!(out, "    {}\n", quoted(&said));
    for column in &table.columns {
        let field = unique(&mut fields, field_name(&column.name));
        for line in comment_lines(column.comment.as_deref()) {
            let _ = writeln!(out, "    # {line}");
        }
        let of = nullable(column, shapes, types, style);
        let _ = writeln!(out, "    {field}: {of}");
        columns.push(format!("{}: {}", quoted(&field), quoted(&column.name)));
    }
    let _ = writeln!(
        out,
        "    # The column of each field.\n    columns: ClassVar[Mapping[str, str]] = {{{}}}\n\n    @classmethod\n    \
         def from_row(cls, row: Mapping[str, Any]) -> Self:\n        \"The row as plank sends it.\"\n        \
         return cls(**{{field: row[column] for field, column in cls.columns.items()}})",
        columns.join(", ")
    );
}

/// What a row is inserted or changed with. The keys are the columns' own names, so it goes out as it is.
fn written(
    out: &mut String,
    table: &Shape,
    name: &str,
    is_insert: bool,
    shapes: &Shapes,
    types: &Names,
    style: Style,
) {
    let members = table.columns.iter().filter(|c| !c.is_generated).map(|c| {
        let of = nullable(c, shapes, types, style);
        let is_needed = is_insert && c.not_null && !c.has_default;
        let of = match is_needed {
            true => of,
            false => format!("NotRequired[{of}]"),
        };
        format!("\n        {}: {of},", quoted(&c.name))
    });
    let members: String = members.collect();
    let _ = writeln!(
        out,
        "\n\n{name} = TypedDict(\n    {},\n    {{{members}\n    }},\n)",
        quoted(name)
    );
}

fn nullable(column: &Column, shapes: &Shapes, types: &Names, style: Style) -> String {
    let of = name_of(shapes, types, column.r#type, style);
    match column.not_null || of == "Any" {
        true => of,
        false => format!("{of} | None"),
    }
}

fn name_of(shapes: &Shapes, types: &Names, id: u32, style: Style) -> String {
    let Some(t) = shapes.types.get(&id) else {
        return "Any".into();
    };
    match &t.kind {
        Kind::Boolean => "bool".into(),
        Kind::Number if t.name.starts_with("int") => "int".into(),
        // NaN and the infinities are texts in JSON.
        Kind::Number => "float | str".into(),
        Kind::WideNumber if style.stringifies => "str".into(),
        Kind::WideNumber if t.name == "int8" => "int".into(),
        Kind::WideNumber => "int | float | str".into(),
        Kind::Text => "str".into(),
        Kind::Json => "Any".into(),
        Kind::Enum { .. } | Kind::Composite { .. } => {
            types.get(&id).map_or("Any", String::as_str).into()
        }
        Kind::Domain { of, .. } => name_of(shapes, types, *of, style),
        Kind::Array { of } => format!("list[{} | None]", name_of(shapes, types, *of, style)),
    }
}

/// A name that Python takes.
fn field_name(name: &str) -> String {
    let mut field: String = name
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect();
    if !field.starts_with(|c: char| c.is_alphabetic()) {
        field.insert_str(0, "f_");
    }
    if KEYWORDS.contains(&format!(" {field} ")) {
        field.push('_');
    }
    field
}
