//! Who owns what of plank, and who else may do something with it: facts in, findings out. No I/O.

use crate::store::inspect::RightsFacts;
use crate::text::sql_name;

use super::report::Report;

/// A few of them, and how many more there are.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).cloned();
    let shown = shown.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// See the module's documentation. `database` is the name of the database.
pub fn look(report: &mut Report, facts: &RightsFacts, database: &str) {
    let before = report.wrongs();
    if !facts.misowned.is_empty() {
        let owners = facts.misowned.iter();
        let owners: Vec<String> = owners
            .map(|(name, owner, wanted)| format!("{name} belongs to {owner} and not to {wanted}"))
            .collect();
        report.wrong(
            "owners",
            some(&owners),
            "a function runs with the rights of its owner, and each kind of work has a role with no more than it needs",
            "plank migrate gives them back; a dump restores owners only where the roles are there",
        );
    }
    if !facts.public.is_empty() {
        let first = facts.public.first().map_or("", String::as_str);
        report.wrong(
            "grants",
            format!("all roles may execute {}", some(&facts.public)),
            "they read and write what is of plank alone",
            format!("revoke execute on function {first} from public; likewise for each of them"),
        );
    }
    if !facts.pathless.is_empty() {
        report.wrong(
            "search paths",
            format!("{} without a search path of its own", some(&facts.pathless)),
            "it runs with the rights of its owner, and the caller decides which functions it calls",
            format!(
                "alter function {} set search_path = pg_catalog, pg_temp; likewise for each of them",
                facts.pathless.first().map_or("", String::as_str)
            ),
        );
    }
    if !facts.makers.is_empty() {
        report.wrong(
            "grants",
            format!("{} may create in the schema plank", some(&facts.makers)),
            "a function or a table there may stand in front of one of plank's",
            format!(
                "revoke create on schema plank from {}",
                facts.makers.join(", ")
            ),
        );
    }
    if !facts.strong.is_empty() {
        report.wrong(
            "roles",
            format!("{} can log in, or has a right over more than tables", some(&facts.strong)),
            "what the owners of watched tables have defined runs as these roles",
            format!(
                "alter role {} nologin nosuperuser nocreaterole nocreatedb noreplication nobypassrls; likewise for each of them",
                facts.strong.first().map_or("", String::as_str)
            ),
        );
    }
    if report.wrongs() == before {
        report.ok(
            "owners",
            "functions, grants and search paths are as plank leaves them",
        );
    }
    if !facts.members.is_empty() {
        report.note(
            "members",
            format!("{} may do what a role of plank may", some(&facts.members)),
            "a member of plank_owner reads the whole log, one of plank_reader all watched tables",
            "if it need not watch tables: revoke plank_owner, plank_capture, plank_reader, plank_writer, plank_json from it",
        );
    }
    if facts.all_connect {
        let name = sql_name(database);
        report.note(
            "connect",
            "all roles of the cluster may connect to this database",
            "they can take locks and connections, and ring the doorbell: none of it shows them a row",
            format!("revoke connect, temporary on database {name} from public; grant connect on database {name} to those who need it"),
        );
    }
    if facts.all_create {
        report.note(
            "public",
            "all roles may create in the schema public",
            "other programs that call functions there without naming the schema may call theirs; plank's statements name it",
            "revoke create on schema public from public",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fact_is_one_finding() {
        let (some, list) = (|name: &str| vec![name.to_owned()], RightsFacts::default);
        let cases = [
            (
                "owners",
                RightsFacts {
                    misowned: vec![("plank.beat()".into(), "bob".into(), "plank_owner".into())],
                    ..list()
                },
            ),
            (
                "grants",
                RightsFacts {
                    public: some("plank.beat()"),
                    ..list()
                },
            ),
            (
                "search paths",
                RightsFacts {
                    pathless: some("plank.cursor()"),
                    ..list()
                },
            ),
            (
                "grants",
                RightsFacts {
                    makers: some("bob"),
                    ..list()
                },
            ),
            (
                "roles",
                RightsFacts {
                    strong: some("plank_reader"),
                    ..list()
                },
            ),
        ];
        for (check, facts) in cases {
            let mut report = Report::default();
            look(&mut report, &facts, "shop");
            assert_eq!(report.wrongs(), 1, "{facts:?}");
            assert!(report.is_wrong(check), "{facts:?}");
        }
        let notes = [
            RightsFacts {
                members: some("bob"),
                ..list()
            },
            RightsFacts {
                all_connect: true,
                ..list()
            },
            RightsFacts {
                all_create: true,
                ..list()
            },
        ];
        for facts in notes {
            let mut report = Report::default();
            look(&mut report, &facts, "shop");
            assert_eq!((report.wrongs(), report.notes()), (0, 1), "{facts:?}");
        }
    }
}
