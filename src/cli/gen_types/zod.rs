//! Checks for zod, beside the types of TypeScript.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::store::shapes::{Column, Kind, Shapes};

use super::Style;
use super::names::{name_in_schema, quoted};

/// What follows the types; the import may stand anywhere in a module.
pub(super) fn write(shapes: &Shapes, style: Style) -> String {
    let mut out = "import { z } from \"zod\";\n".to_owned();
    let mut taken = BTreeSet::from(["Json".to_owned(), "Database".to_owned()]);
    for table in &shapes.tables {
        let name = name_in_schema(&mut taken, &table.schema, &table.name);
        for kind in ["Row", "Insert", "Update"] {
            let _ = writeln!(out, "\nexport const {name}{kind} = z.object({{");
            for column in table
                .columns
                .iter()
                .filter(|c| kind == "Row" || !c.is_generated)
            {
                let of = member(column, kind, shapes, style);
                let _ = writeln!(out, "  {}: {of},", quoted(&column.name));
            }
            out.push_str("});\n");
        }
    }
    out
}

fn member(column: &Column, kind: &str, shapes: &Shapes, style: Style) -> String {
    let mut of = of(shapes, column.r#type, style);
    if !column.not_null {
        of.push_str(".nullable()");
    }
    let is_needed = match kind {
        "Row" => true,
        "Insert" => column.not_null && !column.has_default,
        _ => false,
    };
    if !is_needed {
        of.push_str(".optional()");
    }
    of
}

fn of(shapes: &Shapes, id: u32, style: Style) -> String {
    let Some(t) = shapes.types.get(&id) else {
        return "z.any()".into();
    };
    match &t.kind {
        Kind::Boolean => "z.boolean()".into(),
        Kind::WideNumber if style.stringifies => "z.string()".into(),
        Kind::Number | Kind::WideNumber if t.name.starts_with("int") => "z.number().int()".into(),
        // As the types say it: NaN and the infinities, which are texts, do not pass.
        Kind::Number | Kind::WideNumber => "z.number()".into(),
        Kind::Text => "z.string()".into(),
        Kind::Json => "z.any()".into(),
        Kind::Enum { labels } if labels.is_empty() => "z.never()".into(),
        Kind::Enum { labels } => {
            let labels: Vec<String> = labels.iter().map(|l| quoted(l)).collect();
            format!("z.enum([{}])", labels.join(", "))
        }
        Kind::Composite { members } => {
            let members = members.iter().map(|m| {
                let of = of(shapes, m.r#type, style);
                format!("{}: {of}.nullable()", quoted(&m.name))
            });
            format!("z.object({{ {} }})", members.collect::<Vec<_>>().join(", "))
        }
        Kind::Domain { of: base, .. } => of(shapes, *base, style),
        Kind::Array { of: element } => {
            format!("z.array({}.nullable())", of(shapes, *element, style))
        }
    }
}
