//! Somebody's folders and files at every output of every command: never removed, whatever flags are given.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::commands::{Case, Commands, text};
use crate::support::programs::{check_refused, names};
use crate::support::snapshot::{differing, snapshot};

/// Makes what somebody may have where an output should go; returns the names.
fn somebodys(folder: &Path) -> Vec<&'static str> {
    let write = |name: &str, bytes: &str| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write("experiment/raw/t0.tif", "pixels");
    write("experiment/thesis.docx", "years of work");
    write("A/notes.txt", "a folder with the name of a row");
    write("hidden/.git/config", "[core]");
    write("site/config.toml", "title = \"mine\"\n");
    write("site/run.json", "{\"program\": \"other\", \"version\": \"1\"}");
    write("site/stats.jsonl", "{}\n");
    write("site/movie.partial", "still copying");
    write("zarr/zarr.json", "{\"zarr_format\": 3, \"attributes\": {\"ome\": {}}}");
    write("file", "a shopping list");
    write("list.json", "{\"eggs\": 6}");
    write("weights.safetensors", "not ours");
    symlink("experiment", folder.join("link")).unwrap();
    symlink("file", folder.join("link.json")).unwrap();
    symlink("nowhere", folder.join("dangling")).unwrap();
    symlink("loop", folder.join("loop")).unwrap();
    vec![
        "experiment",
        "A",
        "hidden",
        "site",
        "zarr",
        "file",
        "list.json",
        "weights.safetensors",
        "link",
        "link.json",
        "dangling",
        "loop",
    ]
}

fn run(commands: &Commands, case: &Case, flag: &str, place: &Path, more: &[&str]) -> std::process::Output {
    if flag == case.outputs[0].0 {
        case.run(place, more)
    } else {
        case.run(&commands.at("free"), &[&[flag, &text(place)], more].concat())
    }
}

#[test]
fn nothing_of_somebody_else_is_ever_replaced() {
    let commands = Commands::new();
    let folder = commands.at("home");
    let all = somebodys(&folder);
    let before = snapshot(&folder);
    let mut runs = 0;
    for case in &commands.cases {
        for (flag, _) in &case.outputs {
            // The first output is tried with all, others with some, since they go the same way.
            let step = if *flag == case.outputs[0].0 { 1 } else { 3 };
            for (i, name) in all.iter().enumerate().step_by(step) {
                let mut place = folder.join(name);
                // Both write two files, and ask for a name that leaves one for the second.
                if *flag == "--export" && place.extension().is_some_and(|e| e == "json") {
                    continue;
                }
                if case.name == "import" {
                    if place.extension().is_some_and(|e| e == "json") {
                        continue;
                    }
                    // The name that it asks for, with the same behind it.
                    let named = place.with_extension("safetensors");
                    if named != place {
                        symlink(name, &named).unwrap();
                    }
                    place = named;
                }
                for more in [&["--overwrite"][..], &[]].iter().take(if i == 0 { 2 } else { 1 }) {
                    let ended = run(&commands, case, flag, &place, more);
                    runs += 1;
                    check_refused(&ended, 73, &[]);
                }
                if case.name == "train" && *flag == "--output" {
                    check_refused(&case.run(&place, &["--resume"]), 73, &[]);
                }
                if *flag == "--export" {
                    check_refused(&run(&commands, case, flag, &place, &["--resume"]), 73, &[]);
                }
                if place != folder.join(name) {
                    fs::remove_file(place).unwrap();
                }
                let now = snapshot(&folder);
                assert!(now == before, "{} {flag} {name}: {:?}", case.name, differing(&before, &now));
                assert_eq!(names(commands.dir.path()), ["home", "in"], "{} {flag} {name}", case.name);
            }
        }
    }
    assert!(runs > 120, "{runs}");
}

#[test]
fn outputs_of_ours_are_replaced_but_not_with_something_else_in_them() {
    let commands = Commands::new();
    for case in &commands.cases {
        let place = |i: usize| commands.at("out").join(format!("{i}{}", case.outputs[i].1));
        fs::create_dir(commands.at("out")).unwrap();
        let mut more = Vec::new();
        for (i, (flag, _)) in case.outputs.iter().enumerate().skip(1) {
            more.extend([(*flag).to_owned(), text(&place(i))]);
        }
        more.push("--overwrite".into());
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let again = || {
            let ended = case.run(&place(0), &more);
            let log = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert!(ended.status.success(), "{}: {log}", case.name);
            let left = names(&commands.at("out"));
            assert!(!left.iter().any(|name| name.starts_with('.')), "{}: {left:?}", case.name);
            assert_eq!(names(commands.dir.path()), ["in", "out"]);
        };
        again();
        let first = names(&commands.at("out"));
        again();
        assert_eq!(names(&commands.at("out")), first);
        // An empty folder, as engines make it, with a file of theirs.
        if case.is_folder("--output") {
            fs::remove_dir_all(place(0)).unwrap();
            fs::create_dir(place(0)).unwrap();
            fs::write(place(0).join(".snakemake_timestamp"), "").unwrap();
            again();
        }
        for (i, (flag, _)) in case.outputs.iter().enumerate().filter(|(_, (flag, _))| case.is_folder(flag)) {
            let mine = place(i).join("thesis.docx");
            fs::write(&mine, "years").unwrap();
            check_refused(&case.run(&place(0), &more), 73, &["thesis.docx", "move that elsewhere"]);
            assert!(mine.exists(), "{} {flag}", case.name);
            fs::remove_file(mine).unwrap();
        }
        fs::remove_dir_all(commands.at("out")).unwrap();
    }
}
