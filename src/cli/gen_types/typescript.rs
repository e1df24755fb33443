//! TypeScript, in the shape of Supabase's `Database` type, which `postgrest-js` and plank's own client read.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::store::shapes::{Column, Kind, Shape, Shapes, Type};

use super::Style;
use super::names::{comment_lines, quoted};

const HEAD: &str = "\
// Made by plank gen types. Do not edit: run it again when the tables change.

export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[];

";

/// What reads better with a name of its own.
const TAIL: &str = "
type PublicSchema = Database[Extract<keyof Database, \"public\">];

/** A row of a table of public, as clients get it. */
export type Tables<Name extends keyof PublicSchema[\"Tables\"]> = PublicSchema[\"Tables\"][Name][\"Row\"];
/** The values of a new row. */
export type TablesInsert<Name extends keyof PublicSchema[\"Tables\"]> = PublicSchema[\"Tables\"][Name][\"Insert\"];
/** The values of an update. */
export type TablesUpdate<Name extends keyof PublicSchema[\"Tables\"]> = PublicSchema[\"Tables\"][Name][\"Update\"];
/** An enum of public. */
export type Enums<Name extends keyof PublicSchema[\"Enums\"]> = PublicSchema[\"Enums\"][Name];
";

/// All of the file.
pub(super) fn write(shapes: &Shapes, style: Style) -> String {
    let mut out = HEAD.to_owned();
    let mut schemas: BTreeSet<&str> = shapes.tables.iter().map(|t| t.schema.as_str()).collect();
    let named = |t: &&Type| matches!(t.kind, Kind::Enum { .. } | Kind::Composite { .. });
    schemas.extend(
        shapes
            .types
            .values()
            .filter(named)
            .map(|t| t.schema.as_str()),
    );
    out.push_str("export type Database = {\n");
    for schema in &schemas {
        let _ = writeln!(out, "  {}: {{", key(schema));
        section(
            &mut out,
            "Tables",
            shapes.tables.iter().filter(|t| t.schema == *schema),
            |out, table| self::table(out, table, shapes, style),
        );
        out.push_str(
            "    Views: { [_ in never]: never };\n    Functions: { [_ in never]: never };\n",
        );
        let types = || sorted(shapes, schema);
        section(
            &mut out,
            "Enums",
            types().filter(|t| matches!(t.kind, Kind::Enum { .. })),
            |out, t| {
                if let Kind::Enum { labels } = &t.kind {
                    let _ = writeln!(out, "      {}: {};", key(&t.name), union(labels));
                }
            },
        );
        section(
            &mut out,
            "CompositeTypes",
            types().filter(|t| matches!(t.kind, Kind::Composite { .. })),
            |out, t| {
                if let Kind::Composite { members } = &t.kind {
                    let _ = writeln!(out, "      {}: {{", key(&t.name));
                    for member in members {
                        let of = name_of(shapes, member.r#type, style);
                        let _ = writeln!(out, "        {}: {of} | null;", key(&member.name));
                    }
                    out.push_str("      };\n");
                }
            },
        );
        out.push_str("  };\n");
    }
    out.push_str("};\n");
    if schemas.contains("public") {
        out.push_str(TAIL);
    }
    out
}

fn sorted<'a>(shapes: &'a Shapes, schema: &str) -> impl Iterator<Item = &'a Type> {
    let mut types: Vec<&Type> = shapes
        .types
        .values()
        .filter(|t| t.schema == schema)
        .collect();
    types.sort_by(|a, b| a.name.cmp(&b.name));
    types.into_iter()
}

/// A member of a schema: an object with an entry for each, or one that says that there are none.
fn section<'a, T: 'a>(
    out: &mut String,
    name: &str,
    all: impl Iterator<Item = &'a T>,
    entry: impl Fn(&mut String, &'a T),
) {
    let before = out.len();
    let _ = writeln!(out, "    {name}: {{");
    let begun = out.len();
    all.for_each(|one| entry(out, one));
    if out.len() == begun {
        out.truncate(before);
        let _ = writeln!(out, "    {name}: {{ [_ in never]: never }};");
    } else {
        out.push_str("    };\n");
    }
}

fn table(out: &mut String, table: &Shape, shapes: &Shapes, style: Style) {
    comment(out, "      ", table.comment.as_deref());
    let _ = writeln!(out, "      {}: {{", key(&table.name));
    out.push_str("        Row: {\n");
    for column in &table.columns {
        comment(out, "          ", column.comment.as_deref());
        let of = nullable(column, shapes, style);
        let _ = writeln!(out, "          {}: {of};", key(&column.name));
    }
    out.push_str("        };\n");
    for (name, is_insert) in [("Insert", true), ("Update", false)] {
        let _ = writeln!(out, "        {name}: {{");
        for column in &table.columns {
            let is_needed =
                is_insert && column.not_null && !column.has_default && !column.is_generated;
            let of = match column.is_generated {
                true => "never".to_owned(),
                false => nullable(column, shapes, style),
            };
            let mark = if is_needed { "" } else { "?" };
            let _ = writeln!(out, "          {}{mark}: {of};", key(&column.name));
        }
        out.push_str("        };\n");
    }
    out.push_str("        Relationships: [");
    for reference in &table.references {
        let list = |names: &[String]| {
            names
                .iter()
                .map(|n| quoted(n))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let _ = write!(
            out,
            "\n          {{\n            foreignKeyName: {};\n            columns: [{}];\n            isOneToOne: {};\n            \
             referencedRelation: {};\n            referencedColumns: [{}];\n          }},",
            quoted(&reference.name),
            list(&reference.columns),
            reference.is_one_to_one,
            quoted(&reference.table),
            list(&reference.referenced)
        );
    }
    out.push_str(if table.references.is_empty() {
        "];\n"
    } else {
        "\n        ];\n"
    });
    out.push_str("      };\n");
}

fn nullable(column: &Column, shapes: &Shapes, style: Style) -> String {
    let of = name_of(shapes, column.r#type, style);
    match column.not_null {
        true => of,
        false => format!("{of} | null"),
    }
}

/// The name of a type.
fn name_of(shapes: &Shapes, id: u32, style: Style) -> String {
    let Some(t) = shapes.types.get(&id) else {
        return "Json".into();
    };
    let of_database = |kind: &str| {
        format!(
            "Database[{}][\"{kind}\"][{}]",
            quoted(&t.schema),
            quoted(&t.name)
        )
    };
    match &t.kind {
        Kind::Boolean => "boolean".into(),
        Kind::Number => "number".into(),
        Kind::WideNumber if style.stringifies => "string".into(),
        Kind::WideNumber => "number".into(),
        Kind::Text => "string".into(),
        Kind::Json => "Json".into(),
        Kind::Enum { .. } => of_database("Enums"),
        Kind::Composite { .. } => of_database("CompositeTypes"),
        Kind::Domain { of, .. } => name_of(shapes, *of, style),
        Kind::Array { of } => format!("({} | null)[]", name_of(shapes, *of, style)),
    }
}

fn union(labels: &[String]) -> String {
    match labels.is_empty() {
        true => "never".into(),
        false => labels
            .iter()
            .map(|l| quoted(l))
            .collect::<Vec<_>>()
            .join(" | "),
    }
}

/// A name as a key of an object.
fn key(name: &str) -> String {
    let is_plain = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let begins = name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
    match begins && name.chars().all(is_plain) {
        true => name.into(),
        false => quoted(name),
    }
}

fn comment(out: &mut String, indent: &str, comment: Option<&str>) {
    let lines = comment_lines(comment);
    if let [line] = &lines[..] {
        let _ = writeln!(out, "{indent}/** {} */", line.replace("*/", "*\\/"));
    } else if !lines.is_empty() {
        let _ = writeln!(out, "{indent}/**");
        for line in lines {
            let _ = writeln!(out, "{indent} * {}", line.replace("*/", "*\\/"));
        }
        let _ = writeln!(out, "{indent} */");
    }
}
