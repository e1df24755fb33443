//! A filter for one table: names have become columns, texts have become values. Equal filters are equal here, however
//! they were written.

use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::limits::PATTERN_COST;

use super::super::catalog::Table;
use super::datum::Literal;
use super::expr::{Expr, Is, Op};
use super::kind::{Collation, Kind, Letters};
use super::like::Pattern;
use super::parse::FilterError;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Filter {
    expr: Arc<Expr>,
    root: Node,
    /// The normal form. It names types as well, so a filter on a column of another type is another one.
    text: String,
    /// See [`Filter::cost`].
    cost: usize,
}

/// A condition, normalised: no groups of one, no groups of the same kind in each other, members in order.
#[derive(Clone, Debug)]
pub(super) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Leaf(Leaf),
}

/// A condition on one column.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    /// Its place in [`Table::columns`].
    pub column: usize,
    pub name: String,
    pub kind: Kind,
    pub test: Test,
}

/// What is asked of the column's value.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Compare(Compare, Literal),
    In(Vec<Literal>),
    Like(Pattern),
    /// The pattern with its letters in lower case, and how letters get there.
    Ilike(Pattern, Letters),
    Is(Is),
}

/// What is left of the operators: the others are these, denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Eq,
    Gt,
    Lt,
}

impl Filter {
    /// Finds the columns and reads the values.
    ///
    /// # Errors
    /// Names the column, and says why its value or its type can't be served.
    pub fn bind(expr: &Arc<Expr>, table: &Table) -> Result<Self, FilterError> {
        let root = node(expr, table)?;
        let mut text = String::new();
        write(&root, &mut text);
        let (expr, cost) = (expr.clone(), cost(expr));
        Ok(Self {
            expr,
            root,
            text,
            cost,
        })
    }

    /// What no row passes.
    pub fn nothing() -> Self {
        let root = Node::Any(Vec::new());
        let mut text = String::new();
        write(&root, &mut text);
        let expr = Arc::new(Expr::Any(Vec::new()));
        Self {
            expr,
            root,
            text,
            cost: 0,
        }
    }

    /// What passes both.
    pub fn and(&self, other: &Self) -> Self {
        let root = group(vec![self.root.clone(), other.root.clone()], true);
        let mut text = String::new();
        write(&root, &mut text);
        let members = [&self.expr, &other.expr].map(|expr| (**expr).clone());
        let expr = Arc::new(Expr::All(members.into()));
        Self {
            expr,
            root,
            text,
            cost: self.cost + other.cost,
        }
    }

    /// What asking it costs: a condition is one, a pattern as much as [`PATTERN_COST`]. What its row costs depends on its bytes
    /// too.
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// As it was written.
    pub fn expr(&self) -> &Arc<Expr> {
        &self.expr
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    /// Columns that have to have one of these values for the filter to hold, the one with the fewest first.
    pub fn required(&self) -> Vec<(usize, &[Literal])> {
        let members = match &self.root {
            Node::All(members) => members.as_slice(),
            root => std::slice::from_ref(root),
        };
        let mut required: Vec<_> = members.iter().filter_map(required_by).collect();
        required.sort_by_key(|(_, values)| values.len());
        required
    }
}

fn cost(expr: &Expr) -> usize {
    let of_one = |leaf: &Expr| match leaf {
        Expr::Compare {
            op: Op::Like | Op::Ilike,
            ..
        } => PATTERN_COST,
        _ => 1,
    };
    expr.leaves().iter().map(|leaf| of_one(leaf)).sum()
}

fn required_by(node: &Node) -> Option<(usize, &[Literal])> {
    let Node::Leaf(Leaf { column, test, .. }) = node else {
        return None;
    };
    match test {
        Test::Compare(Compare::Eq, value) => Some((*column, std::slice::from_ref(value))),
        // None of no values: no change would find it, and it has to hear of a truncate.
        Test::In(values) if !values.is_empty() => Some((*column, values)),
        _ => None,
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Filter {}

impl Hash for Filter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

fn node(expr: &Expr, table: &Table) -> Result<Node, FilterError> {
    let all = |members: &[Expr]| -> Result<Vec<Node>, FilterError> {
        members.iter().map(|member| node(member, table)).collect()
    };
    Ok(match expr {
        Expr::All(members) => group(all(members)?, true),
        Expr::Any(members) => group(all(members)?, false),
        Expr::Not(inner) => deny(node(inner, table)?),
        Expr::Compare { column, op, value } => compare(leaf(column, table)?, *op, value)?,
        Expr::In { column, values } => {
            let (place, name, kind) = leaf(column, table)?;
            comparable(&name, &kind)?;
            let mut list = Vec::with_capacity(values.len());
            for value in values {
                list.push(literal(&name, &kind, value)?);
            }
            list.sort();
            list.dedup();
            let test = match list.pop() {
                Some(only) if list.is_empty() => Test::Compare(Compare::Eq, only),
                Some(last) => {
                    list.push(last);
                    Test::In(list)
                }
                None => Test::In(list),
            };
            Node::Leaf(Leaf {
                column: place,
                name,
                kind,
                test,
            })
        }
        Expr::Server { column, word, .. } => {
            let message = format!("{word} is served at /rest only");
            return Err(FilterError::new(column, message));
        }
        Expr::Is { column, what } => {
            let (place, name, kind) = leaf(column, table)?;
            if *what != Is::Null && kind != Kind::Bool {
                let message = format!("is.{} is for boolean columns", what.as_str());
                return Err(FilterError::new(name, message));
            }
            Node::Leaf(Leaf {
                column: place,
                name,
                kind,
                test: Test::Is(*what),
            })
        }
    })
}

/// The column of a condition.
fn leaf(name: &str, table: &Table) -> Result<(usize, String, Kind), FilterError> {
    let place = table.columns.iter().position(|c| c.name == name);
    let place = place.ok_or_else(|| {
        let message = match name.contains("->") {
            true => "paths into JSON are not served".into(),
            false => format!(
                "the table {} has no such column; GET /api/tables lists its columns",
                table.quoted
            ),
        };
        FilterError::new(name, message)
    })?;
    Ok((place, name.to_owned(), table.columns[place].kind.clone()))
}

/// Whether values of a column can be compared at all.
fn comparable(name: &str, kind: &Kind) -> Result<(), FilterError> {
    let refuse = |message: &str| Err(FilterError::new(name, message));
    match kind {
        Kind::Json | Kind::Other => {
            refuse("values of its type can't be compared; is.null and not.is.null are all it takes")
        }
        Kind::Text(Collation::Other, _) | Kind::Bpchar(Collation::Other, _) => refuse(
            "its collation takes different texts for equal, which only PostgreSQL can decide; is.null and not.is.null are all it takes",
        ),
        _ => Ok(()),
    }
}

fn literal(name: &str, kind: &Kind, value: &str) -> Result<Literal, FilterError> {
    Literal::parse(kind, value).map_err(|message| FilterError::new(name, message))
}

fn compare(
    (column, name, kind): (usize, String, Kind),
    op: Op,
    value: &str,
) -> Result<Node, FilterError> {
    let is_order = !matches!(op, Op::Eq | Op::Neq);
    comparable(&name, &kind)?;
    let test = match (op, &kind) {
        (Op::Like | Op::Ilike, Kind::Text(_, letters) | Kind::Bpchar(_, letters)) => {
            let pattern = Pattern::parse(value);
            let pattern = pattern.map_err(|message| FilterError::new(&name, message))?;
            match (op, letters) {
                (Op::Like, _) => Test::Like(pattern),
                (_, Letters::Default | Letters::Unknown) => {
                    let message = "only PostgreSQL knows the lower case of its collation's letters; use like, or a column with the collation \"C\"";
                    return Err(FilterError::new(name, message));
                }
                (_, letters) => {
                    let lower = pattern.map(|c| letters.lower(c));
                    Test::Ilike(lower, letters.clone())
                }
            }
        }
        (Op::Like | Op::Ilike, _) => {
            let message = format!("{} is for text columns", op.as_str());
            return Err(FilterError::new(name, message));
        }
        (
            _,
            Kind::Text(Collation::Deterministic, _) | Kind::Bpchar(Collation::Deterministic, _),
        ) if is_order => {
            let message = "only PostgreSQL knows the order of its collation; eq, neq, in, like and is are served, or a column with the collation \"C\"";
            return Err(FilterError::new(name, message));
        }
        (_, Kind::Enum(_)) if is_order => {
            let message =
                "only PostgreSQL knows the order of its labels; eq, neq, in and is are served";
            return Err(FilterError::new(name, message));
        }
        _ => {
            let compare = match op {
                Op::Gt | Op::Lte => Compare::Gt,
                Op::Lt | Op::Gte => Compare::Lt,
                _ => Compare::Eq,
            };
            Test::Compare(compare, literal(&name, &kind, value)?)
        }
    };
    let leaf = Node::Leaf(Leaf {
        column,
        name,
        kind,
        test,
    });
    Ok(match op {
        Op::Neq | Op::Gte | Op::Lte => deny(leaf),
        _ => leaf,
    })
}

fn deny(node: Node) -> Node {
    match node {
        Node::Not(inner) => *inner,
        other => Node::Not(other.into()),
    }
}

fn group(members: Vec<Node>, is_all: bool) -> Node {
    let mut flat: Vec<(String, Node)> = Vec::with_capacity(members.len());
    for member in members {
        let inner = match member {
            Node::All(inner) if is_all => inner,
            Node::Any(inner) if !is_all => inner,
            other => vec![other],
        };
        flat.extend(inner.into_iter().map(|node| {
            let mut text = String::new();
            write(&node, &mut text);
            (text, node)
        }));
    }
    flat.sort_by(|a, b| a.0.cmp(&b.0));
    flat.dedup_by(|a, b| a.0 == b.0);
    let mut nodes: Vec<Node> = flat.into_iter().map(|(_, node)| node).collect();
    match nodes.pop() {
        Some(only) if nodes.is_empty() => only,
        Some(last) => {
            nodes.push(last);
            if is_all {
                Node::All(nodes)
            } else {
                Node::Any(nodes)
            }
        }
        // Of nothing all are so, and none is.
        None if is_all => Node::All(nodes),
        None => Node::Any(nodes),
    }
}

/// The normal form. It is compared and hashed, never read.
fn write(node: &Node, out: &mut String) {
    let mut members = |word: &str, members: &[Node]| {
        out.push_str(word);
        members.iter().for_each(|member| write(member, out));
        out.push(')');
    };
    match node {
        Node::All(list) => members("all(", list),
        Node::Any(list) => members("any(", list),
        Node::Not(inner) => members("not(", std::slice::from_ref(inner)),
        Node::Leaf(Leaf {
            name, kind, test, ..
        }) => {
            let test = match test {
                Test::Compare(compare, value) => format!("{compare:?} {:?}", value.text),
                Test::In(values) => {
                    let texts: Vec<&str> = values.iter().map(|v| v.text.as_str()).collect();
                    format!("in {texts:?}")
                }
                Test::Like(pattern) => format!("like {:?}", pattern.text()),
                Test::Ilike(pattern, _) => format!("ilike {:?}", pattern.text()),
                Test::Is(what) => format!("is {}", what.as_str()),
            };
            // Writing into a String can't fail.
            let _ = write!(out, "({name:?} {} {test})", kind.sql());
        }
    }
}
