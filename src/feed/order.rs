//! The order of a table's rows, in PostgREST's words.

use crate::limits::ORDER_COLUMNS_MAX;

use super::catalog::Table;

/// A column that rows are in order of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sort {
    /// Its name, without quotes.
    pub column: String,
    /// The largest first.
    pub descending: bool,
    /// Where rows without a value are.
    pub nulls_first: bool,
}

/// Reads `created_at.desc.nullslast,id`.
///
/// # Errors
/// What is wrong with it, for people.
pub fn parse(text: &str) -> Result<Vec<Sort>, String> {
    let mut order: Vec<Sort> = Vec::new();
    for item in items(text) {
        let sort = sort(item)?;
        if order.iter().any(|other| other.column == sort.column) {
            return Err(format!("names the column {:?} twice", sort.column));
        }
        if order.len() == ORDER_COLUMNS_MAX {
            return Err(format!("names more than {ORDER_COLUMNS_MAX} columns"));
        }
        order.push(sort);
    }
    Ok(order)
}

/// Splits at commas that are not in quotes.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |c| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match c {
            _ if was_escaped => {}
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ',' => return !is_quoted,
            _ => {}
        }
        false
    })
}

/// `column[.asc|.desc][.nullsfirst|.nullslast]`; a name with a comma, or one that ends like a word, has quotes.
fn sort(item: &str) -> Result<Sort, String> {
    let mut rest = item.trim();
    let mut take = |words: [&str; 2]| {
        for (i, word) in words.into_iter().enumerate() {
            if let Some(name) = rest
                .strip_suffix(word)
                .and_then(|name| name.strip_suffix('.'))
            {
                rest = name;
                return Some(i == 1);
            }
        }
        None
    };
    let nulls_first = take(["nullslast", "nullsfirst"]);
    let descending = take(["asc", "desc"]).unwrap_or(false);
    let column = match rest.strip_prefix('"') {
        None if rest.contains('"') => None,
        None => Some(rest.to_owned()),
        Some(rest) => unquote(rest),
    };
    let column = column.filter(|column| !column.is_empty());
    let column = column.ok_or_else(|| {
        format!(
            "has {item:?}; it is a list of columns with commas, each with .asc or .desc and .nullsfirst or .nullslast behind \
             it, or nothing"
        )
    })?;
    Ok(Sort {
        column,
        descending,
        // As in PostgreSQL: null is larger than everything.
        nulls_first: nulls_first.unwrap_or(descending),
    })
}

/// What is in quotes, up to the end: `\"` and `\\` as in a filter.
fn unquote(text: &str) -> Option<String> {
    let (mut name, mut characters) = (String::new(), text.chars());
    loop {
        match characters.next()? {
            '\\' => name.push(characters.next()?),
            '"' => return characters.as_str().is_empty().then_some(name),
            c => name.push(c),
        }
    }
}

/// The order of a table: what was asked for, and then the key, so that no two rows have the same place.
///
/// # Errors
/// Names the column that clients can't see.
pub fn with_key(asked: &[Sort], table: &Table) -> Result<Vec<Sort>, String> {
    if let Some(sort) = asked.iter().find(|sort| !table.has_column(&sort.column)) {
        let (table, name) = (&table.quoted, &sort.column);
        let hint = match name.contains('.') {
            true => "behind a column there may be .asc or .desc, and .nullsfirst or .nullslast",
            false => "GET /api/tables lists its columns",
        };
        return Err(format!("the table {table} has no column {name:?}; {hint}"));
    }
    let mut order = asked.to_vec();
    for name in &table.key {
        if !asked.iter().any(|sort| sort.column == *name) {
            order.push(Sort {
                column: name.clone(),
                descending: false,
                nulls_first: false,
            });
        }
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let word = |sort: &Sort| {
            let direction = if sort.descending { "desc" } else { "asc" };
            let nulls = if sort.nulls_first { "first" } else { "last" };
            format!("{}/{direction}/{nulls}", sort.column)
        };
        match parse(text) {
            Ok(order) => order.iter().map(word).collect::<Vec<_>>().join(" "),
            Err(problem) => format!("! {problem}"),
        }
    }

    #[test]
    fn an_order_is_read() {
        for (text, expected) in [
            ("id", "id/asc/last"),
            ("id.desc", "id/desc/first"),
            (
                "a.desc.nullslast, b.asc.nullsfirst",
                "a/desc/last b/asc/first",
            ),
            ("a.nullsfirst,b.nullslast", "a/asc/first b/asc/last"),
            ("\"a,b\".desc,c", "a,b/desc/first c/asc/last"),
            ("\"a\\\"\\\\\"", "a\"\\/asc/last"),
            ("\"a.desc\"", "a.desc/asc/last"),
            ("a.b", "a.b/asc/last"),
            ("desc", "desc/asc/last"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("", "has \"\""),
            ("a,,b", "has \"\""),
            ("a,.desc", "has \".desc\""),
            ("\"a", "has \"\\\"a\""),
            ("\"a\"b", "it is a list of columns"),
            ("a\"b", "it is a list of columns"),
            ("a,b,a.desc", "names the column \"a\" twice"),
        ] {
            let problem = read(text);
            assert!(
                problem.starts_with("! ") && problem.contains(part),
                "{text}: {problem}"
            );
        }
        let many: Vec<String> = (0..=ORDER_COLUMNS_MAX).map(|i| format!("c{i}")).collect();
        assert!(read(&many.join(",")).contains("more than"));
    }
}
