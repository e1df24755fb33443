//! Puts the document together: what the handlers say, and what the tables add. It is made when it is asked for, and kept until
//! a table changes.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use actix_web::web::{self, Bytes};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::feed::catalog::Oid;
use crate::limits::DOCUMENTS_BYTES_MAX;
use crate::metrics::Metrics;

use super::base;
use super::members::Members;
use super::tables::{Parts, Seen};

/// The document, in the order in which it is read.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    openapi: Box<RawValue>,
    info: Box<RawValue>,
    servers: Box<RawValue>,
    pub(super) paths: Members,
    pub(super) components: Components,
    tags: Box<RawValue>,
}

/// What several places refer to.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Components {
    pub(super) schemas: Members,
    pub(super) responses: Members,
    #[serde(default)]
    pub(super) parameters: Members,
    #[serde(default)]
    pub(super) headers: Members,
    #[serde(rename = "securitySchemes")]
    security: Box<RawValue>,
}

/// The document as it is served.
#[derive(Debug)]
pub struct Served {
    /// JSON.
    pub text: Bytes,
    /// Its entity tag.
    pub tag: String,
}

impl Served {
    /// For a caller who may see these tables.
    pub fn of(tables: &[Seen]) -> Self {
        let mut document = base().clone();
        let parts = Parts::of(tables);
        document.paths.insert_behind("/rest", parts.paths);
        document.components.schemas.append(parts.schemas);
        // Strings, numbers and maps of those always serialise.
        let text = serde_json::to_string(&document).unwrap_or_default();
        let tag = Sha256::digest(text.as_bytes())[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let text = text.into();
        Self { text, tag }
    }
}

/// What a document depends on: of each table which writes the caller may do.
type Sight = Vec<(Oid, [bool; 3])>;

/// The documents that were asked for since a table has changed last: one for all callers who may see and do the same.
#[derive(Debug, Default)]
pub struct Documents(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Of the catalog.
    version: u64,
    bytes: usize,
    documents: Vec<(Sight, Arc<Served>)>,
}

impl Documents {
    /// The document for a caller who may see these tables, of this version of the catalog. None while the process ends.
    pub async fn get(
        &self,
        version: u64,
        tables: Vec<Seen>,
        metrics: &Metrics,
    ) -> Option<Arc<Served>> {
        static EMPTY: LazyLock<Arc<Served>> = LazyLock::new(|| Arc::new(Served::of(&[])));
        if tables.is_empty() {
            return Some(EMPTY.clone());
        }
        let sight: Sight = tables
            .iter()
            .map(|seen| (seen.table.rel, [seen.insert, seen.update, seen.delete]))
            .collect();
        if let Some(known) = self.known(version, &sight) {
            return Some(known);
        }
        // Of many tables it is megabytes: no socket of this worker should wait for it.
        let made = web::block(move || Arc::new(Served::of(&tables)))
            .await
            .ok()?;
        if !self.keep(version, sight, made.clone()) {
            metrics.limit("openapi");
        }
        Some(made)
    }

    fn known(&self, version: u64, sight: &Sight) -> Option<Arc<Served>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |(own, _): &&(Sight, Arc<Served>)| kept.version == version && own == sight;
        let found = kept.documents.iter().find(is_it);
        found.map(|(_, served)| served.clone())
    }

    /// Keeps one; whether there was room for it.
    fn keep(&self, version: u64, sight: Sight, served: Arc<Served>) -> bool {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = served.text.len();
        let has_room = version > kept.version || kept.bytes + bytes <= DOCUMENTS_BYTES_MAX;
        if version < kept.version {
            return true;
        }
        if version > kept.version || !has_room {
            *kept = Kept {
                version,
                ..Kept::default()
            };
        }
        if bytes <= DOCUMENTS_BYTES_MAX && !kept.documents.iter().any(|(own, _)| *own == sight) {
            kept.bytes += bytes;
            kept.documents.push((sight, served));
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::Table;

    fn seen(rel: Oid, insert: bool) -> Vec<Seen> {
        let table = Arc::new(Table::of_paper(rel, "public", "t"));
        let (update, delete) = (insert, insert);
        vec![Seen {
            table,
            insert,
            update,
            delete,
        }]
    }

    #[actix_rt::test]
    async fn a_document_is_made_once_for_each_version_and_sight() {
        let documents = Documents::default();
        let metrics = Metrics::default();
        let get = async |version, tables| documents.get(version, tables, &metrics).await.unwrap();
        let first = get(1, seen(7, true)).await;
        assert!(Arc::ptr_eq(&first, &get(1, seen(7, true)).await));
        let other = get(1, seen(7, false)).await;
        assert_ne!(first.tag, other.tag);
        assert!(Arc::ptr_eq(&other, &get(1, seen(7, false)).await));
        assert!(!Arc::ptr_eq(&first, &get(2, seen(7, true)).await));
        // One that was under way when a table changed is not kept.
        let late = get(1, seen(7, true)).await;
        assert!(!Arc::ptr_eq(&late, &get(2, seen(7, true)).await));
        assert_eq!(late.tag, first.tag);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let documents = Documents::default();
        let served = |bytes| {
            let text = "x".repeat(bytes).into();
            let tag = String::new();
            Arc::new(Served { text, tag })
        };
        let sight = |rel| vec![(rel, [true; 3])];
        documents.keep(1, sight(1), served(DOCUMENTS_BYTES_MAX - 1));
        documents.keep(1, sight(2), served(2));
        assert!(documents.known(1, &sight(1)).is_none());
        assert!(documents.known(1, &sight(2)).is_some());
        documents.keep(1, sight(3), served(DOCUMENTS_BYTES_MAX + 1));
        assert!(documents.known(1, &sight(3)).is_none());
    }
}
