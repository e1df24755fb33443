//! JSON objects whose members keep their order: a document is read by people as well.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// The members of an object, each with the text of its value.
#[derive(Clone, Debug, Default)]
pub struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    /// Adds a member behind the others.
    pub fn push(&mut self, name: impl Into<String>, value: &impl Serialize) {
        // Strings, numbers, lists and maps of those always serialise.
        let value = to_raw_value(value).unwrap_or_default();
        self.0.push((name.into(), value));
    }

    /// Puts other members behind the one of this name, or behind all.
    pub fn insert_behind(&mut self, name: &str, others: Self) {
        let at = self.0.iter().position(|(own, _)| own == name);
        let at = at.map_or(self.0.len(), |at| at + 1);
        self.0.splice(at..at, others.0);
    }

    /// Adds all of these.
    pub fn append(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Members::default();
                while let Some(member) = map.next_entry()? {
                    members.0.push(member);
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(All)
    }
}
