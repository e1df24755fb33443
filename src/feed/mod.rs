//! The core: what a change is, where a reader stands, what a client has asked for. No I/O and no actor in here.

pub mod catalog;
pub mod change;
pub mod cursor;
pub mod expand;
pub mod json;
pub mod topic;

pub use catalog::{Catalog, Table};
pub use change::{Change, LogOp, LogRow, Op};
pub use cursor::{Cursor, CursorError, Epoch, Snapshot};
pub use expand::Expander;
pub use topic::{Subject, TopicId};
