//! Reads what is derived from a table, a live window or counts, as of one moment.

use std::sync::Arc;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::feed::change_encoder::Unfit;
use crate::feed::derived::{Derived, LiveCounts, LiveWindow, window};
use crate::feed::{Cursor, Derivation, View};
use crate::limits::{COUNT_GROUPS_MAX, DERIVED_BYTES_MAX, DERIVED_READ_MAX};

use super::replicated::Kind;
use super::select::Select;
use super::{History, HistoryError};

impl History {
    /// Reads what `derivation` says, of the rows that `view` shows. Waits for its turn.
    ///
    /// # Errors
    /// See [`HistoryError`]; `too_large` beyond [`DERIVED_BYTES_MAX`] and [`COUNT_GROUPS_MAX`].
    pub async fn derive(
        &self,
        view: &View,
        derivation: &Derivation,
    ) -> Result<(Derived, Cursor), HistoryError> {
        let read = timeout(DERIVED_READ_MAX, self.read_derived(view, derivation)).await;
        read.map_err(|_| HistoryError::Away("the rows of a window do not come in time".into()))?
    }

    async fn read_derived(
        &self,
        view: &View,
        derivation: &Derivation,
    ) -> Result<(Derived, Cursor), HistoryError> {
        let select = match derivation {
            Derivation::Window(spec) => Select {
                order: spec.order.clone(),
                limit: Some(window::capacity(spec.limit)),
                ..Select::rows_of(view)
            },
            Derivation::Counts(columns) => Select {
                groups: Some(columns.clone()),
                limit: Some(COUNT_GROUPS_MAX + 1),
                ..Select::rows_of(view)
            },
        };
        let table = &view.table;
        let mut rows = self
            .snapshot_of(Kind::Window, DERIVED_READ_MAX, table, &select)
            .await?;
        let (cursor, mut texts, mut bytes) = (rows.cursor().clone(), Vec::<Arc<str>>::new(), 0);
        while let Some(text) = rows.next().await? {
            bytes += text.len();
            texts.push(text);
            if bytes > DERIVED_BYTES_MAX {
                let why = format!(
                    "its rows have more than {DERIVED_BYTES_MAX} bytes: ask for fewer of them (limit)"
                );
                return Err(HistoryError::Denied("too_large", why));
            }
        }
        rows.finish().await?;
        if matches!(derivation, Derivation::Counts(_)) && texts.len() > COUNT_GROUPS_MAX {
            let why = format!(
                "there are more than {COUNT_GROUPS_MAX} groups: count by columns with fewer values, or use a filter"
            );
            return Err(HistoryError::Denied("too_large", why));
        }
        let (view, derivation) = (view.clone(), derivation.clone());
        // They may be many MiB, and the hub shares this thread.
        let derived = spawn_blocking(move || build(&view, &derivation, texts)).await;
        let derived = derived.map_err(|e| HistoryError::Away(e.to_string()))?;
        let derived = derived.map_err(|_| {
            // Described anew in a moment.
            HistoryError::Away("the table has just changed".into())
        })?;
        Ok((derived, cursor))
    }
}

fn build(view: &View, derivation: &Derivation, texts: Vec<Arc<str>>) -> Result<Derived, Unfit> {
    match derivation {
        Derivation::Window(spec) => LiveWindow::new(view, spec, texts).map(Derived::Window),
        Derivation::Counts(columns) => LiveCounts::new(view, columns, texts).map(Derived::Counts),
    }
}
