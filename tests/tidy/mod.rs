//! Rules about the repository itself. Each reads files and starts nothing.

mod dependencies;
mod imports;
mod length;
mod source;
mod words;

use std::path::{Path, PathBuf};

use source::Source;

/// The workspace's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository, by its path within it.
pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The folders of all packages but the root's, as the workspace lists them.
pub fn crates() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let (_, rest) = manifest
        .split_once("members = [")
        .expect("the workspace has members");
    let (members, _) = rest.split_once(']').expect("the list ends");
    members
        .split(',')
        .map(|member| member.trim().trim_matches('"').to_owned())
        .filter(|member| !member.is_empty())
        .collect()
}

/// Every Rust file of the product: the crates' sources and the binary's, unit tests included.
pub fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    for name in crates() {
        collect(&root().join(name).join("src"), &mut files);
    }
    assert!(files.len() > 20, "the sources were not found");
    let mut sources: Vec<_> = files.iter().map(|file| Source::read(root(), file)).collect();
    let only_tests: Vec<_> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        if only_tests.iter().any(|path| source.is_in(path)) {
            source.product.clear();
        }
    }
    sources
}

/// Every Rust file of the integration tests and benches.
pub fn test_sources() -> Vec<Source> {
    let mut files = Vec::new();
    collect(&root().join("tests"), &mut files);
    collect(&root().join("benches"), &mut files);
    files.iter().map(|file| Source::read(root(), file)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Fails with all findings at once.
#[track_caller]
pub fn none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}\n  {}", findings.join("\n  "));
}
