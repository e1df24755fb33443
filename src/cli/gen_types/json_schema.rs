//! JSON Schema, draft 2020-12: a definition for a row, for what is inserted and for what is changed, of each table.

use serde_json::{Map, Value, json};

use crate::store::shapes::{Kind, Shape, Shapes};

use super::Style;

/// All of the file.
pub(super) fn write(shapes: &Shapes, style: Style) -> String {
    let mut definitions = Map::new();
    for t in shapes.types.values() {
        let own = match &t.kind {
            Kind::Enum { labels } => json!({"enum": labels}),
            Kind::Composite { members } => {
                let members = members.iter().map(|m| {
                    let of = or_null(of(shapes, m.r#type, style));
                    (m.name.clone(), of)
                });
                json!({"type": "object", "properties": members.collect::<Map<_, _>>()})
            }
            _ => continue,
        };
        definitions.insert(format!("{}.{}", t.schema, t.name), own);
    }
    for table in &shapes.tables {
        for kind in ["Row", "Insert", "Update"] {
            let name = format!("{}.{}.{kind}", table.schema, table.name);
            definitions.insert(name, object(table, kind, shapes, style));
        }
    }
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Made by plank gen types. Do not edit: run it again when the tables change.",
        "$defs": definitions,
    });
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

fn object(table: &Shape, kind: &str, shapes: &Shapes, style: Style) -> Value {
    let is_row = kind == "Row";
    let columns = || table.columns.iter().filter(|c| is_row || !c.is_generated);
    let properties: Map<String, Value> = columns()
        .map(|c| {
            let mut own = of(shapes, c.r#type, style);
            if !c.not_null {
                own = or_null(own);
            }
            if let (Some(comment), Some(own)) = (&c.comment, own.as_object_mut()) {
                own.insert("description".into(), json!(comment));
            }
            (c.name.clone(), own)
        })
        .collect();
    let is_needed = |c: &&crate::store::shapes::Column| match kind {
        "Row" => true,
        "Insert" => c.not_null && !c.has_default,
        _ => false,
    };
    let required: Vec<&str> = columns()
        .filter(is_needed)
        .map(|c| c.name.as_str())
        .collect();
    let mut own = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    if let (Some(comment), Some(own)) = (&table.comment, own.as_object_mut()) {
        own.insert("description".into(), json!(comment));
    }
    own
}

fn of(shapes: &Shapes, id: u32, style: Style) -> Value {
    let Some(t) = shapes.types.get(&id) else {
        return json!({});
    };
    match &t.kind {
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Number if t.name.starts_with("int") => json!({"type": "integer"}),
        Kind::WideNumber if style.stringifies => json!({"type": "string"}),
        Kind::WideNumber if t.name == "int8" => json!({"type": "integer"}),
        // NaN and the infinities are texts.
        Kind::Number | Kind::WideNumber => json!({"type": ["number", "string"]}),
        Kind::Text => json!({"type": "string"}),
        Kind::Json => json!({}),
        Kind::Enum { .. } | Kind::Composite { .. } => {
            let name = format!("{}.{}", t.schema, t.name);
            let pointer = name.replace('~', "~0").replace('/', "~1");
            let mut encoded = String::new();
            for byte in pointer.bytes() {
                match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    true => encoded.push(byte.into()),
                    false => encoded.push_str(&format!("%{byte:02X}")),
                }
            }
            json!({"$ref": format!("#/$defs/{encoded}")})
        }
        Kind::Domain { of: base, .. } => of(shapes, *base, style),
        // Of any depth.
        Kind::Array { .. } => json!({"type": "array"}),
    }
}

fn or_null(of: Value) -> Value {
    match of.as_object().is_some_and(Map::is_empty) {
        true => of,
        false => json!({"anyOf": [of, {"type": "null"}]}),
    }
}
