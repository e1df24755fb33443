//! The types of the log's columns that tokio-postgres does not know, read from their binary form.

use std::sync::Arc;

use tokio_postgres::types::{FromSql, Type};

type Decoded<T> = Result<T, Box<dyn std::error::Error + Sync + Send>>;

/// `xid8`
pub struct Xid8(pub u64);

impl<'a> FromSql<'a> for Xid8 {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Decoded<Self> {
        Ok(Self(u64::from_be_bytes(raw.try_into()?)))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::XID8
    }
}

/// `tid`: the page and the line pointer.
pub struct Tid(pub u32, pub u16);

impl<'a> FromSql<'a> for Tid {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Decoded<Self> {
        let (page, line) = raw.split_at_checked(4).ok_or("a tid has six bytes")?;
        Ok(Self(
            u32::from_be_bytes(page.try_into()?),
            u16::from_be_bytes(line.try_into()?),
        ))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TID
    }
}

/// `timestamptz`, as microseconds of Unix time.
pub struct Timestamp(pub i64);

impl<'a> FromSql<'a> for Timestamp {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Decoded<Self> {
        /// PostgreSQL counts from 2000-01-01.
        const EPOCH_US: i64 = 946_684_800_000_000;
        Ok(Self(
            i64::from_be_bytes(raw.try_into()?).saturating_add(EPOCH_US),
        ))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}

/// `json`, as its text.
pub struct Json(pub Arc<str>);

impl<'a> FromSql<'a> for Json {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Decoded<Self> {
        Ok(Self(std::str::from_utf8(raw)?.into()))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSON
    }
}
