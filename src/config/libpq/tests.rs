//! The list of docs/CONFIGURATION.md, and the forms of a connection string.

use std::fs;

use super::known::KNOWN;
use super::*;

const NOWHERE: Surroundings<'_> = Surroundings {
    variable: &|_| None,
    home: None,
    user: None,
};

fn read(text: &str) -> Result<Parameters, String> {
    Parameters::read(text, &NOWHERE)
}

/// The table of docs/CONFIGURATION.md: parameter, variable, what plank does.
fn document() -> Vec<[String; 3]> {
    let text = include_str!("../../../docs/CONFIGURATION.md");
    let (_, table) = text.split_once("| parameter | variable | plank |").unwrap();
    let rows = table.lines().take_while(|line| !line.starts_with('#'));
    let rows = rows.filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter_map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let plain = |cell: &str| cell.replace('`', "");
        (cells.len() >= 3).then(|| [plain(cells[0]), plain(cells[1]), plain(cells[2])])
    });
    rows.collect()
}

#[test]
fn the_document_says_of_each_parameter_what_is_done_with_it() {
    let document = document();
    let names: Vec<&str> = document.iter().map(|row| row[0].as_str()).collect();
    let known: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
    let mut sorted = (names.clone(), known);
    sorted.0.sort_unstable();
    sorted.1.sort_unstable();
    assert_eq!(sorted.0, sorted.1);
    for [name, variable, treatment] in &document {
        let known = find(name).unwrap();
        assert_eq!(variable, known.variable.unwrap_or_default(), "{name}");
        let (word, good, bad) = match known.treatment {
            Taken => ("taken", vec!["1"], vec![]),
            Without(_) => ("no effect", vec!["1"], vec![]),
            Only(values, _) => ("only", values.to_vec(), vec!["nonsense"]),
            Refused(_) => ("refused", vec![], vec!["1"]),
        };
        assert!(treatment.starts_with(word), "{name}: {treatment}");
        if name.starts_with("service") {
            continue;
        }
        for value in good {
            assert!(
                treatment.contains(value) || word != "only",
                "{name}: {value} is not in {treatment}"
            );
            let read = read(&format!("user=u {name}={value}")).unwrap();
            assert_eq!(read.get(name), Some(value));
        }
        for value in bad {
            let refused = read(&format!("postgresql://u:secret@h/d?{name}={value}")).unwrap_err();
            assert!(
                refused.contains(name.as_str()) && !refused.contains(":secret"),
                "{refused}"
            );
        }
    }
}

#[test]
fn a_url_and_pairs_say_the_same() {
    for (url, pairs) in [
        (
            "postgresql://u:p%40w@h:1/d",
            "host=h port=1 user=u password='p@w' dbname=d",
        ),
        ("postgres://h", "host=h"),
        ("postgresql://a:1,b:2/d", "host=a,b port=1,2 dbname=d"),
        (
            "postgresql://u@[::1]:5/d",
            "host=::1 port=5 user=u dbname=d",
        ),
        ("postgresql://%2Frun%2Fpg/d", "host=/run/pg dbname=d"),
        (
            "postgresql:///d?host=/run/pg&user=u",
            "host = /run/pg  dbname = d user=u",
        ),
        ("postgresql://h?password=a+b%20c", "host=h password='a+b c'"),
        (
            "postgresql://h?password=a%27b%5C",
            "host=h password='a\\'b\\\\'",
        ),
        (
            "postgresql://h?options=-c%20work_mem%3D1MB",
            "host=h options='-c work_mem=1MB'",
        ),
    ] {
        assert_eq!(read(url), read(pairs), "{url}");
        assert!(read(url).is_ok(), "{url}");
    }
    for wrong in [
        "mysql://h/d",
        "postgresql://h?x",
        "postgresql://h?nonsense=1",
        "postgresql://h%zz",
        "postgresql://[::1",
        "host",
        "host='a",
        "=",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_said_first_counts() {
    let dir = tempfile::tempdir().unwrap();
    let services = dir.path().join("services");
    fs::write(
        &services,
        "[s]\n# comment\nport = 7\nuser=of-service\nhost=of-service\n[t]\nport=8\n",
    )
    .unwrap();
    let services = services.display().to_string();
    let variable = |name: &str| match name {
        "PGSERVICEFILE" => Some(services.clone()),
        "PGUSER" | "PGDATABASE" | "PGHOST" | "PGHOSTADDR" => Some("of-variable".to_owned()),
        _ => None,
    };
    let around = Surroundings {
        variable: &variable,
        home: None,
        user: Some("of-system".into()),
    };
    let read = Parameters::read("host=of-text service=s", &around).unwrap();
    let got = ["host", "hostaddr", "port", "user", "dbname"].map(|name| read.get(name));
    assert_eq!(
        got,
        [
            Some("of-text"),
            None,
            Some("7"),
            Some("of-service"),
            Some("of-variable")
        ]
    );
    assert!(
        Parameters::read("service=none", &around)
            .unwrap_err()
            .contains("\"none\"")
    );
    let read = Parameters::read(
        "host=h",
        &Surroundings {
            variable: &|_| None,
            ..around
        },
    )
    .unwrap();
    assert_eq!(read.get("user"), Some("of-system"));
}

#[test]
fn a_home_has_files_where_libpq_looks() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join(".postgresql")).unwrap();
    for file in [
        ".pgpass",
        ".postgresql/root.crt",
        ".postgresql/postgresql.crt",
        ".postgresql/postgresql.key",
    ] {
        fs::write(home.path().join(file), "").unwrap();
    }
    let around = Surroundings {
        home: Some(home.path().to_owned()),
        ..NOWHERE
    };
    let read = Parameters::read("host=h user=u", &around).unwrap();
    for name in ["passfile", "sslrootcert", "sslcert", "sslkey"] {
        assert!(
            read.get(name)
                .unwrap()
                .starts_with(home.path().to_str().unwrap()),
            "{name}"
        );
    }
}
