//! The core: what a change is, where a reader stands, what a client has asked for. No I/O and no actor in here.

pub mod bell;
pub mod catalog;
pub mod change;
pub mod cursor;
pub mod cut;
pub mod expand;
pub mod filter;
pub mod json;
pub mod newest;
pub mod policy;
pub mod projection;
pub mod render;
pub mod snapshot;
pub mod topic;
pub mod window;

pub use bell::Bell;
pub use catalog::{Catalog, Table};
pub use change::{Change, LogOp, LogRow, Op};
pub use cursor::{Cursor, CursorError, Epoch};
pub use expand::Expander;
pub use filter::{Expr, FilterError};
pub use newest::Newest;
pub use policy::{Claims, Grant, Held, Right};
pub use projection::Projection;
pub use render::{Renderer, Shown};
pub use snapshot::Snapshot;
pub use topic::{Subject, TopicId, View};
pub use window::{Rest, Window};
