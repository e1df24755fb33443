//! The core: what a change is, where a reader stands, what a client has asked for. No I/O and no actor in here.

pub mod bell;
pub mod catalog;
pub mod change;
pub mod change_builder;
pub mod change_encoder;
pub mod cursor;
pub mod derived;
pub mod filter;
pub mod json;
pub mod key_order;
pub mod newest;
pub mod order;
pub mod page_boundary;
pub mod policy;
pub mod projection;
pub mod snapshot;
pub mod topic;
pub mod window;

pub use bell::Bell;
pub use catalog::{Catalog, Table};
pub use change::{Change, LogOp, LogRow, Op, RowId};
pub use change_builder::ChangeBuilder;
pub use change_encoder::{ChangeEncoder, Shown};
pub use cursor::{Cursor, CursorError, EPOCH_BYTES, Epoch, Forged, SEAL_BYTES};
pub use derived::{Derivation, WindowSpec};
pub use filter::{Expr, FilterError};
pub use newest::Newest;
pub use policy::{Claims, Grant, PolicyVersion, Right};
pub use projection::Projection;
pub use snapshot::Snapshot;
pub use topic::{Subject, TopicId, View};
pub use window::{Rest, Window};
