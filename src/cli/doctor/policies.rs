//! Policies that show nothing: facts in, findings out.

use crate::feed::Table;
use crate::text::{sql_name, sql_text};

use super::report::Report;

/// Looks at the policies of the watched tables.
pub fn look(report: &mut Report, tables: &[Table]) {
    let mut count = 0;
    let before = report.wrongs();
    for table in tables {
        for policy in &table.policies {
            count += 1;
            let Err(why) = policy.check(table) else {
                continue;
            };
            let rows = policy.rows.as_deref().unwrap_or_default();
            let op = policy.op.as_str();
            let quoted = format!("{}.{}", sql_name(&table.schema), sql_name(&table.name));
            report.wrong(
                "policies",
                format!(
                    "{}: the policy of role {:?} for {op} ({rows}) shows nothing: {why}",
                    table.quoted, policy.role
                ),
                "it can't be followed, so that role gets nothing from it",
                format!(
                    "correct it: select plank.allow({}, {}, ROWS, '{{{op}}}'), with the name that plank.policies shows; or take it \
                     back: select plank.deny({0}, {1}, '{{{op}}}')",
                    sql_text(&quoted),
                    sql_text(&policy.role)
                ),
            );
        }
    }
    if report.wrongs() == before {
        match count {
            0 => report.ok(
                "policies",
                "none; with --auth on nobody sees anything until plank allow says so",
            ),
            n => report.ok("policies", format!("{n}, and all can be followed")),
        }
    }
}
