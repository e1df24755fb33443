//! Imports go only down the list in `src/lib.rs`.

use std::fs;
use std::path::{Path, PathBuf};

/// From the top down; what stands on one line may not import each other either.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["app"],
    &["http"],
    &["actor"],
    &["store"],
    &["auth"],
    &["wire"],
    &["feed"],
    &["config", "descriptors", "systemd"],
    &["health", "metrics", "text", "throttle"],
    &["canary"],
    &["limits"],
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
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

#[test]
fn imports_go_only_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut looked_at = 0;
    for path in files(&src) {
        let relative = path.strip_prefix(&src).unwrap();
        let module = relative
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs");
        if matches!(module, "lib" | "main") {
            continue;
        }
        let own = layer(module).unwrap_or_else(|| panic!("{} is in no layer", relative.display()));
        for line in fs::read_to_string(&path)
            .unwrap()
            .lines()
            .filter(|l| !l.trim_start().starts_with("//"))
        {
            for import in line.split("crate::").skip(1) {
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
    assert!(
        looked_at > 50,
        "only {looked_at} imports found: does this test still look at the right place?"
    );
}

#[test]
fn nothing_sends_a_message_to_a_session() {
    let actors = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/actor"));
    for path in actors {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            !text.contains("Addr<Session>") && !text.contains("Handler<Changes> for Session"),
            "{}",
            path.display()
        );
    }
}
