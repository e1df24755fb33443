//! Imports go only down the list in `src/lib.rs`.

use std::fs;
use std::path::{Path, PathBuf};

/// From the top down; what stands on one line may not import each other either.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["app"],
    &["http"],
    &["actor"],
    &["store", "backplane"],
    &["auth"],
    &["wire"],
    &["feed"],
    &["config", "descriptors", "systemd"],
    &["health", "metrics", "text", "throttle", "trace"],
    &["canary"],
    &["limits"],
];

/// The same for the rooms of `src/actor`.
const ACTORS: &[&[&str]] = &[
    &["session", "shard"],
    &["catch_up"],
    &["clients"],
    &["listener", "refresher"],
    &["hub"],
    &["message"],
    &["poll_request", "refresh_request", "admission", "transport"],
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Checks the imports below `dir`, whose modules are written as `prefix` and a name, against `layers`; how many it looked at.
fn check(dir: &Path, prefix: &str, layers: &[&[&str]]) -> usize {
    let layer = |module: &str| layers.iter().position(|layer| layer.contains(&module));
    let mut looked_at = 0;
    for path in files(dir) {
        let relative = path.strip_prefix(dir).unwrap();
        let module = relative.components().next().unwrap().as_os_str();
        let module = module.to_str().unwrap().trim_end_matches(".rs");
        if matches!(module, "lib" | "main" | "mod") {
            continue;
        }
        let own = layer(module).unwrap_or_else(|| panic!("{} is in no layer", relative.display()));
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|l| !l.trim_start().starts_with("//")) {
            for import in line.split(prefix).skip(1) {
                let name: String = import
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                let other =
                    layer(&name).unwrap_or_else(|| panic!("{}: {line}", relative.display()));
                assert!(
                    name == module || other > own,
                    "{} imports {name}, which stands above it or beside it",
                    relative.display()
                );
                looked_at += 1;
            }
        }
    }
    looked_at
}

#[test]
fn imports_go_only_down() {
    let looked_at = check(&source(), "crate::", LAYERS);
    assert!(
        looked_at > 50,
        "only {looked_at} imports found: does this test still look at the right place?"
    );
}

#[test]
fn the_rooms_of_the_actors_import_only_down() {
    let actors = source().join("actor");
    let looked_at = check(&actors, "crate::actor::", ACTORS);
    assert!(looked_at > 50, "only {looked_at} imports found");
    // A path by `super` can't leave a room unseen.
    for path in files(&actors) {
        let relative = path.strip_prefix(&actors).unwrap();
        let depth = relative.components().count() - usize::from(path.ends_with("mod.rs"));
        let out = format!("use {}", "super::".repeat(depth));
        let text = fs::read_to_string(&path).unwrap();
        let leaves = text.lines().any(|line| line.starts_with(&out));
        assert!(!leaves || depth == 0, "{} has {out}", relative.display());
    }
}

#[test]
fn nothing_sends_a_message_to_a_session() {
    let actors = files(&source().join("actor"));
    for path in actors {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            !text.contains("Addr<Session>") && !text.contains("Handler<Changes> for Session"),
            "{}",
            path.display()
        );
    }
}
