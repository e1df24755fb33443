//! The changes of several `changes` messages as one list: what is between the brackets of each, as it comes.

/// Where in a message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the bracket that opens the list.
    Before,
    /// In the list, this many brackets deep.
    In(u32),
    /// The same, in a string; whether the next character is escaped.
    InString(u32, bool),
    /// Behind the bracket that closes it.
    Behind,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct List {
    place: Place,
    /// How many changes have begun, in all messages.
    count: usize,
}

impl Default for List {
    fn default() -> Self {
        Self {
            place: Place::Behind,
            count: 0,
        }
    }
}

impl List {
    /// How many changes have begun.
    pub fn count(&self) -> usize {
        self.count
    }

    /// A message begins.
    pub fn begin(&mut self) {
        self.place = Place::Before;
    }

    /// Appends the part of the list that is in this part of the message, with a comma between two changes.
    pub fn push(&mut self, text: &[u8], out: &mut Vec<u8>) {
        // From where on it has not been appended.
        let mut from = 0;
        for (at, byte) in text.iter().enumerate() {
            self.place = match (self.place, *byte) {
                (Place::Before, b'[') => {
                    from = at + 1;
                    Place::In(0)
                }
                (Place::In(depth), b'"') => Place::InString(depth, false),
                (Place::In(0), b']') => {
                    out.extend_from_slice(&text[from..at]);
                    Place::Behind
                }
                (Place::In(0), b',') => {
                    out.extend_from_slice(&text[from..at]);
                    from = at + 1;
                    Place::In(0)
                }
                (Place::In(depth), b'{' | b'[') => {
                    if depth == 0 {
                        if self.count > 0 {
                            out.push(b',');
                        }
                        self.count += 1;
                    }
                    Place::In(depth + 1)
                }
                (Place::In(depth), b'}' | b']') => Place::In(depth.saturating_sub(1)),
                (Place::InString(depth, false), b'"') => Place::In(depth),
                (Place::InString(depth, is_escaped), byte) => {
                    Place::InString(depth, !is_escaped && byte == b'\\')
                }
                (place, _) => place,
            };
        }
        if !matches!(self.place, Place::Before | Place::Behind) {
            out.extend_from_slice(&text[from..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn list(messages: &[String], step: usize) -> (Value, usize) {
        let (mut list, mut out) = (List::default(), vec![b'[']);
        for message in messages {
            list.begin();
            for part in message.as_bytes().chunks(step) {
                list.push(part, &mut out);
            }
        }
        out.push(b']');
        (serde_json::from_slice(&out).unwrap(), list.count())
    }

    fn message(changes: &Value) -> String {
        format!(r#"{{"type":"changes","topic":"t1","cursor":"C","changes":{changes},"last":true}}"#)
    }

    #[test]
    fn lists_are_joined() {
        let messages = [
            message(&json!([])),
            message(&json!([{"a": "],[{\"\\"}, {"b": [[1, 2], {}]}])),
            message(&json!([])),
            message(&json!([{"c": "\\\\"}])),
        ];
        for step in [1, 2, 5, 1000] {
            let (joined, count) = list(&messages, step);
            let expected = json!([{"a": "],[{\"\\"}, {"b": [[1, 2], {}]}, {"c": "\\\\"}]);
            assert_eq!((joined, count), (expected, 3), "{step}");
        }
    }

    proptest! {
        #[test]
        fn any_text_passes(
            lists in prop::collection::vec(prop::collection::vec(".{0,20}", 0..4), 0..4),
            step in 1usize..40,
        ) {
            let rows = |list: &Vec<String>| list.iter().map(|t| json!({"row": {"t": t}})).collect::<Vec<_>>();
            let messages: Vec<_> = lists.iter().map(|l| message(&Value::Array(rows(l)))).collect();
            let all: Vec<_> = lists.iter().flat_map(rows).collect();
            let (joined, count) = list(&messages, step);
            prop_assert_eq!(count, all.len());
            prop_assert_eq!(joined, Value::Array(all));
        }
    }
}
