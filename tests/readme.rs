//! What the README says is done here as it says it.

use std::process::Command;

use crate::harness::{Cluster, Options};
use crate::shell::shell;
use crate::tidy::read;

/// The fenced blocks of a language, in order.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(&fence)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect()
}

/// Path and text of each document for users.
fn documents() -> Vec<(String, String)> {
    let mut paths = vec![
        "README.md".to_owned(),
        "CONTRIBUTING.md".to_owned(),
        "ARCHITECTURE.md".to_owned(),
    ];
    for entry in std::fs::read_dir(crate::tidy::root().join("docs/guide")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        paths.push(format!("docs/guide/{name}"));
    }
    paths
        .into_iter()
        .map(|path| {
            let text = read(&path);
            (path, text)
        })
        .collect()
}

#[test]
fn the_first_two_commands() {
    let readme = read("README.md");
    let commands = blocks(&readme, "sh");
    assert_eq!(
        commands[..2],
        ["cargo run --release -- demo\n", "cargo test --workspace\n"]
    );
}

/// Every `watershed …` that is written down exists, and so does each of its options.
#[test]
fn commands_exist() {
    let mut checked = 0;
    for (path, text) in documents() {
        for line in blocks(&text, "sh").iter().flat_map(|block| block.lines()) {
            let line = line.split('#').next().unwrap_or_default();
            let Some((_, arguments)) = line
                .split_once("watershed ")
                .or_else(|| line.split_once("cargo run --release -- "))
            else {
                continue;
            };
            let words: Vec<_> = arguments.split_whitespace().collect();
            let roles: Vec<_> = words
                .iter()
                .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase()))
                .collect();
            let help = Command::new(env!("CARGO_BIN_EXE_watershed"))
                .args(&roles)
                .arg("--help")
                .output()
                .unwrap();
            assert!(help.status.success(), "{path}: {line}");
            let help = String::from_utf8(help.stdout).unwrap();
            for option in words.iter().filter(|word| word.starts_with('-')) {
                let option = option.split('=').next().unwrap_or_default();
                assert!(help.contains(option), "{path}: {line}: no {option} in\n{help}");
            }
            checked += 1;
        }
    }
    assert!(checked >= 4, "{checked} commands were found");
}

/// The links between documents lead somewhere.
#[test]
fn links_lead_somewhere() {
    for (path, text) in documents() {
        let folder = crate::tidy::root().join(&path);
        let folder = folder.parent().expect("a file is in a folder");
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") {
                assert!(folder.join(target).exists(), "{path}: {target} is not there");
            }
        }
    }
}

#[test]
fn the_example() {
    let readme = read("README.md");
    let [sql] = blocks(&readme, "sql")[..] else {
        panic!("the README has one example in SQL");
    };
    let answer = blocks(&readme, "text")[0];
    let cluster = Cluster::start(&Options::executors(3));
    let outcome = shell(cluster.flight(), &["--no-progress"], sql);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let shown = |text: &str| {
        text.lines()
            .filter(|line| line.contains('|'))
            .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>().join("|"))
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(outcome.text()), shown(answer), "{outcome:?}");
}
