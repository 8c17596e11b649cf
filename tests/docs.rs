//! What the documents say is true: help texts, flags in commands, links, width.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::programs::path as program;
use crate::support::root;

const PROGRAMS: [&str; 5] = ["prepare", "train", "generate", "evaluate", "segment-benchmark"];

/// The reference of a page lies between these two comments.
const BEGIN: &str = "<!-- help: written by UPDATE_REFERENCE=1 cargo test --release --workspace docs -->\n";
const END: &str = "<!-- end of help -->";

/// Returns the help of a call such as `["prepare", "phantom"]`, 100 columns wide, without colours.
fn help(call: &[&str]) -> String {
    let output = Command::new(program(call[0]))
        .args(&call[1..])
        .arg("--help")
        // Without a terminal on any stream, clap takes the width from COLUMNS.
        .stdin(Stdio::null())
        .env("COLUMNS", "100")
        .env("NO_COLOR", "1")
        .env_remove("CLICOLOR_FORCE")
        .output()
        .unwrap();
    assert!(output.status.success(), "{call:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Returns the names in the section `Commands:` of a help text.
fn subcommands(help: &str) -> Vec<&str> {
    let section = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    // Names are indented by two columns, lines that go on by more.
    let names = section.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect()
}

/// Returns the help texts of a program and of its subcommands, by the words of the call.
fn helps(name: &str) -> Vec<(String, String)> {
    let own = help(&[name]);
    let mut all = vec![(name.to_owned(), own.clone())];
    for subcommand in subcommands(&own) {
        all.push((format!("{name} {subcommand}"), help(&[name, subcommand])));
    }
    all
}

#[test]
fn subcommands_are_found_in_a_help_text() {
    let help =
        "Usage: x\n\nCommands:\n  one  Does this\n       and that\n  two-b  B\n  help  Print\n\nOptions:\n";
    assert_eq!(subcommands(help), ["one", "two-b"]);
    assert!(subcommands("Options:\n  -h\n").is_empty());
}

#[test]
fn pages_hold_the_help_of_their_programs() {
    for name in PROGRAMS {
        let page = root().join(format!("docs/{name}.md"));
        let text = fs::read_to_string(&page).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap_or_else(|| panic!("{page:?} lacks {BEGIN}"));
        let (found, after) = rest.split_once(END).unwrap_or_else(|| panic!("{page:?} lacks {END}"));
        let blocks = helps(name).into_iter();
        let blocks = blocks.map(|(call, help)| format!("\n### `{call} --help`\n\n```text\n{help}```\n"));
        let expected = blocks.collect::<Vec<_>>().concat() + "\n";
        if std::env::var("UPDATE_REFERENCE").is_ok_and(|value| value == "1") {
            fs::write(&page, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
            continue;
        }
        let different = found.lines().zip(expected.lines()).find(|(a, b)| a != b);
        assert!(
            found == expected,
            "docs/{name}.md does not hold the help of {name}; first difference (page, program): {different:?}\n\
             UPDATE_REFERENCE=1 cargo test --release --workspace docs rewrites it"
        );
    }
}

/// Returns the documents for users, with their paths from the root.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "THIRD-PARTY.md", "containers/README.md", "test-data/README.md"]
            .map(PathBuf::from)
            .to_vec();
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        paths.push(Path::new("docs").join(entry.unwrap().file_name()));
    }
    let read = |path: PathBuf| {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        (path, text)
    };
    paths.into_iter().filter(|path| path.extension().is_some_and(|e| e == "md")).map(read).collect()
}

/// Returns the lines of a document with their language: `None` outside of fenced blocks.
fn lines(text: &str) -> Vec<(Option<&str>, &str)> {
    let mut language = None;
    let mut lines = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("```"), language) {
            (Some(name), None) => language = Some(name),
            (Some(_), Some(_)) => language = None,
            (None, _) => lines.push((language, line)),
        }
    }
    lines
}

/// Returns the commands in the shell blocks of a document; lines that end in `\` are joined.
fn commands(text: &str) -> Vec<String> {
    let shell = lines(text)
        .into_iter()
        .filter(|(language, _)| language.is_some_and(|name| ["sh", "bash", "console"].contains(&name)));
    let joined: String = shell.map(|(_, line)| line.to_owned() + "\n").collect();
    joined.replace("\\\n", " ").lines().map(str::to_owned).collect()
}

#[test]
fn commands_in_documents_use_flags_that_exist() {
    let known: BTreeMap<String, String> = PROGRAMS.iter().flat_map(|name| helps(name)).collect();
    let mut checked = 0;
    for (path, text) in documents() {
        for command in commands(&text) {
            let words: Vec<&str> = command.split_whitespace().take_while(|word| *word != "#").collect();
            let name = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
            let Some(at) = words.iter().position(|word| PROGRAMS.contains(&name(word).as_str())) else {
                continue;
            };
            let alone = name(words[at]);
            let with_next = words.get(at + 1).map(|next| format!("{alone} {next}")).unwrap_or_default();
            let help = known.get(&with_next).unwrap_or(&known[&alone]);
            for word in &words[at + 1..] {
                let Some(flag) = word.strip_prefix("--").and_then(|flag| flag.split('=').next()) else {
                    continue;
                };
                let exists = help.split_whitespace().any(|found| {
                    let found = found.trim_end_matches([',', ']', '.']).split(['=', '[']).next();
                    found == Some(format!("--{flag}").as_str())
                });
                assert!(exists, "{}: no flag --{flag} in\n{command}", path.display());
                checked += 1;
            }
        }
    }
    assert!(checked > 30, "only {checked} flags were found in the documents");
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut checked = 0;
    for (path, text) in documents() {
        let folder = root().join(path.parent().unwrap());
        let prose: String = lines(&text)
            .into_iter()
            .filter(|(language, _)| language.is_none())
            .map(|(_, l)| l.to_owned() + "\n")
            .collect();
        for link in prose.split("](").skip(1) {
            let target = link.split(')').next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.starts_with("http") {
                continue;
            }
            assert!(folder.join(file).exists(), "{}: the link to {target} leads nowhere", path.display());
            checked += 1;
        }
    }
    assert!(checked > 30, "only {checked} links were found in the documents");
}

#[test]
fn prose_is_at_most_100_columns_wide() {
    for (path, text) in documents() {
        for (language, line) in lines(&text) {
            // Output is as wide as it is; a command in a console block is one line, see readme.rs.
            let block = language.is_some_and(|name| ["text", "console"].contains(&name));
            let free = block || line.starts_with('|') || line.starts_with("<!--");
            let width = line.chars().count();
            assert!(free || width <= 100, "{}: {width} columns in\n{line}", path.display());
        }
    }
}
