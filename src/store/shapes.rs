//! The tables of a database as programs that use them need them: columns, their types as JSON has them, keys, references.

use std::collections::BTreeMap;

use serde::Deserialize;
use tokio::time::timeout;
use tokio_postgres::types::Json;
use tokio_postgres::{Client, Config};

use crate::config::Server;
use crate::feed::catalog::Oid;
use crate::limits::STATEMENT_MAX;

use super::connect::{self, ConnectError};
use super::pool::{Pool, StoreError};
use super::session::Session;

/// All at once, so that it is of one moment.
const SHAPES: &str = include_str!("shapes/shapes.sql");

/// What is asked for, in the order of names.
#[derive(Debug, Deserialize)]
pub struct Shapes {
    /// The tables.
    pub tables: Vec<Shape>,
    /// The types of their columns, and the types that these are made of, by identifier.
    pub types: BTreeMap<u32, Type>,
}

/// A table.
#[derive(Debug, Deserialize)]
pub struct Shape {
    /// Its schema.
    pub schema: String,
    /// Its name, as it is.
    pub name: String,
    /// Its comment.
    pub comment: Option<String>,
    /// The columns that clients may see, in order.
    pub columns: Vec<Column>,
    /// What it refers to: only tables and columns that are shown.
    pub references: Vec<Reference>,
}

/// A column.
#[derive(Debug, Deserialize)]
pub struct Column {
    /// Its name, as it is.
    pub name: String,
    /// Its type.
    pub r#type: u32,
    /// Whether it is never null.
    pub not_null: bool,
    /// Whether a row may be inserted without it.
    pub has_default: bool,
    /// Whether it can't be written: generated, or an identity that is always generated.
    pub is_generated: bool,
    /// Its comment.
    pub comment: Option<String>,
}

/// A foreign key.
#[derive(Debug, Deserialize)]
pub struct Reference {
    /// The name of the constraint.
    pub name: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// Whether no two rows refer to the same one.
    pub is_one_to_one: bool,
    /// The schema of the other table.
    pub schema: String,
    /// The other table.
    pub table: String,
    /// The columns there.
    pub referenced: Vec<String>,
}

/// A type, as its values look in JSON.
#[derive(Clone, Debug, Deserialize)]
pub struct Type {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// What a type is.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `true` and `false`.
    Boolean,
    /// A number that every language reads exactly.
    Number,
    /// A number that may have more digits than a double has: `bigint` and `numeric`.
    WideNumber,
    /// A text in quotes, whatever the type is.
    Text,
    /// Any JSON.
    Json,
    /// One of these texts.
    Enum {
        /// In their order.
        labels: Vec<String>,
    },
    /// A list of any depth: the type of an array does not say how many dimensions it has.
    Array {
        /// What is in it.
        of: u32,
    },
    /// Another type with conditions.
    Domain {
        /// Which.
        of: u32,
        /// Whether it is never null.
        not_null: bool,
    },
    /// An object.
    Composite {
        /// Its members, in order.
        members: Vec<Member>,
    },
}

/// A member of a composite type; it may always be null.
#[derive(Clone, Debug, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its type.
    pub r#type: u32,
}

/// Reads them: of the tables that are watched, with the columns that clients may see, or of all tables.
///
/// # Errors
/// If there is no connection, or no plank in the database.
pub async fn read(server: &Server, all: bool) -> Result<Shapes, ConnectError> {
    let server = connect::harden(server.clone(), "plank gen types");
    let (client, connection) = connect::connect(&server).await?;
    // It ends with the client.
    tokio::spawn(connection);
    let work = async {
        connect::soon("check", connect::check(&client, &server.config)).await?;
        ask(&client, &server.config, all).await
    };
    match timeout(STATEMENT_MAX, work).await {
        Ok(shapes) => shapes,
        Err(_) => Err(ConnectError::Away("the database does not answer".into())),
    }
}

/// The same of the watched tables `rels` alone, as JSON, for a client that asks a server.
///
/// # Errors
/// If the database is away.
pub async fn read_of(pool: &Pool, rels: &[Oid]) -> Result<String, StoreError> {
    let watched = "select rel::oid, columns from plank.watched where rel::oid = any ($2)";
    let sql = SHAPES.replace("/*watched*/", watched);
    let sql = format!("select (r.shapes)::text from ({sql}) r(shapes)");
    let row = pool.run(async |client, _| {
        let statement = client.prepare_cached(&sql).await?;
        Ok(client.query_one(&statement, &[&false, &rels]).await?)
    });
    Ok(row.await?.get(0))
}

async fn ask(client: &Client, config: &Config, all: bool) -> Result<Shapes, ConnectError> {
    let of = |e: tokio_postgres::Error| ConnectError::of(&e, config);
    Session::UNLIMITED.settle(client).await.map_err(of)?;
    let has_plank = "select to_regclass('plank.watched') is not null";
    let has_plank: bool = client.query_one(has_plank, &[]).await.map_err(of)?.get(0);
    if !has_plank && !all {
        let database = config.get_dbname().unwrap_or_default();
        return Err(ConnectError::Fatal(format!(
            "there is no plank in database {database:?}, so no table is watched; --all takes every table"
        )));
    }
    let watched = match has_plank {
        true => "select rel::oid, columns from plank.watched",
        false => "select null::oid, null::name[] where false",
    };
    let sql = SHAPES.replace("/*watched*/", watched);
    let row = client.query_one(&sql, &[&all]).await.map_err(of)?;
    let Json(shapes) = row.try_get(0).map_err(of)?;
    Ok(shapes)
}
