//! Names that lead out of the output, in every string that programs read: nothing is written anywhere else.
//!
//! `LAPSEGAN_TRAVERSALS=all` tries every hostile name in every place; without it some places get one each, in turn.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use super::commands::Commands;
use crate::support::programs::{run_in, stderr};

const HOSTILE: [&str; 9] = [
    "../x",
    "../../../../../precious.ome.zarr",
    "/tmp/lapsegan-escaped",
    "a/b",
    "..",
    ".",
    "",
    "zarr.json",
    "a\u{0}b",
];

/// Places tried in each file, where not all are.
const MOST_PLACES: usize = 8;

/// Returns all files below a folder with their bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                all.insert(entry.clone(), Vec::new());
                folders.push(entry);
            } else {
                all.insert(entry.clone(), fs::read(&entry).unwrap());
            }
        }
    }
    all
}

/// Returns the paths of all strings in a JSON value.
fn strings(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at.to_owned()),
        Value::Array(all) => {
            all.iter().enumerate().for_each(|(i, value)| strings(value, &format!("{at}/{i}"), found));
        }
        Value::Object(all) => {
            all.iter().for_each(|(key, value)| {
                strings(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            });
        }
        _ => {}
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

struct Place {
    commands: Commands,
    /// Where programs run, beside a plate that must not change.
    work: PathBuf,
    before: BTreeMap<PathBuf, Vec<u8>>,
    everything: bool,
    runs: usize,
}

impl Place {
    fn new() -> Self {
        let commands = Commands::new();
        let work = commands.at("a/b/c/work");
        fs::create_dir_all(&work).unwrap();
        // `../../../../../` leads from the labels of a well to the folder of the output.
        copy(&commands.at("in/real.ome.zarr"), &work.join("precious.ome.zarr"));
        let before = files(commands.dir.path());
        let everything = std::env::var_os("LAPSEGAN_TRAVERSALS").is_some();
        Self { commands, work, before, everything, runs: 0 }
    }

    /// Runs a program whose output is `out` and checks that all else is as it was.
    fn check(&mut self, what: &str, program: &str, arguments: &[&str]) -> Output {
        let output = run_in(&self.work, program, arguments);
        let text = stderr(&output);
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 2 | 65 | 66)), "{what}: {program} {arguments:?}: {code:?}\n{text}");
        for made in ["out", "hostile", "hostile.safetensors", "hostile.json", "hostile.csv"] {
            let path = self.work.join(made);
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
        let after = files(self.commands.dir.path());
        let changed: Vec<_> = after
            .keys()
            .chain(self.before.keys())
            .filter(|path| after.get(*path) != self.before.get(*path))
            .collect();
        assert!(changed.is_empty(), "{what}: {program} {arguments:?} changed {changed:?}\n{text}");
        assert!(!Path::new("/tmp/lapsegan-escaped").exists(), "{what}");
        self.runs += 1;
        output
    }

    /// Calls `try_one` with each place and the hostile names that it is to be tried with.
    fn each(&mut self, json: &Value, try_one: &mut dyn FnMut(&mut Self, &str, &str)) {
        let mut places = Vec::new();
        strings(json, "", &mut places);
        assert!(places.len() > 1);
        let step = if self.everything { 1 } else { places.len().div_ceil(MOST_PLACES) };
        for (i, place) in places.iter().enumerate().step_by(step) {
            for (j, name) in HOSTILE.iter().enumerate() {
                if self.everything || j == i / step % HOSTILE.len() {
                    try_one(self, place, name);
                }
            }
        }
    }
}

#[test]
fn names_in_plates_lead_nowhere() {
    let mut place = Place::new();
    let (real, part) = (place.commands.at("in/real.ome.zarr"), place.commands.at("in/part-1"));
    let other = place.commands.at("in/part-2").display().to_string();
    for file in ["zarr.json", "A/1/0/zarr.json", "A/1/0/labels/zarr.json"] {
        let json: Value = serde_json::from_slice(&fs::read(real.join(file)).unwrap()).unwrap();
        place.each(&json, &mut |place, pointer, name| {
            let hostile = place.work.join("hostile");
            let write = |from: &Path| {
                copy(from, &hostile);
                let path = hostile.join(file);
                let mut json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                if let Some(value) = json.pointer_mut(pointer) {
                    *value = json!(name);
                }
                fs::write(path, json.to_string()).unwrap();
            };
            let what = format!("{file} {pointer} {name:?}");
            write(&real);
            place.check(
                &what,
                "evaluate",
                &["score", "--truth", "hostile", "--prediction", "hostile", "--output", "out", "-q"],
            );
            write(&part);
            place.check(&what, "generate", &["merge", "hostile", &other, "--output", "out", "-q"]);
        });
    }
    // Labels are folders of the plate that is written.
    for name in HOSTILE {
        copy(&real, &place.work.join("hostile"));
        let path = place.work.join("hostile/zarr.json");
        let text = fs::read_to_string(&path).unwrap();
        let changed = text.replace("\"cells\"", &json!(name).to_string());
        assert_ne!(text, changed);
        fs::write(&path, changed).unwrap();
        let score = ["score", "--truth", "hostile", "--prediction", "hostile", "--output", "out", "-q"];
        let refused = place.check(name, "evaluate", &score);
        assert_eq!(refused.status.code(), Some(65), "{name:?}: {}", stderr(&refused));
    }
    eprintln!("{} runs", place.runs);
}

#[test]
fn names_in_checkpoints_lead_nowhere() {
    let mut place = Place::new();
    let good = place.commands.at("in/run/checkpoints/kimg_000000.000.safetensors");
    let mut json: Value = serde_json::from_slice(&fs::read(good.with_extension("json")).unwrap()).unwrap();
    // A format without a digest of its own: what is changed is read.
    json["format"] = json!(2);
    let fields = json.as_object_mut().unwrap();
    fields.remove("tensors");
    fields.remove("manifest_sha256");
    let generate = [
        "--checkpoint",
        "hostile.safetensors",
        "--output",
        "out",
        "--count",
        "2",
        "--batch",
        "2",
        "--device",
        "cpu",
        "--label-route",
        "fluorescence_threshold",
        "-q",
    ];
    let write = |place: &Place, json: &Value| {
        copy(&good, &place.work.join("hostile.safetensors"));
        fs::write(place.work.join("hostile.json"), json.to_string()).unwrap();
    };
    place.each(&json.clone(), &mut |place, pointer, name| {
        let mut json = json.clone();
        *json.pointer_mut(pointer).unwrap() = json!(name);
        write(place, &json);
        place.check(&format!("{pointer} {name:?}"), "generate", &generate);
    });
    for name in HOSTILE {
        let mut hostile = json.clone();
        hostile["data"]["labels"] = json!([name]);
        write(&place, &hostile);
        let refused = place.check(name, "generate", &generate);
        assert_eq!(refused.status.code(), Some(65), "{name:?}: {}", stderr(&refused));
    }
    eprintln!("{} runs", place.runs);
}

#[test]
fn names_in_flags_and_samplesheets_lead_nowhere() {
    let mut place = Place::new();
    let run = place.commands.at("in/run").display().to_string();
    let movie = place.commands.at("in/recording/brightfield").display().to_string();
    let published = place.commands.at("in/published.pt").display().to_string();
    // No program can be given a NUL.
    for name in HOSTILE.into_iter().filter(|name| !name.contains('\0')) {
        let pair = format!("{name}={movie}");
        let channels = format!("{name},gfp");
        let mut calls = vec![
            ("prepare", vec!["--channel", &pair, "--output", "out"]),
            ("prepare", vec!["--channel", "a=.", "--labels", &pair, "--output", "out"]),
            ("prepare", vec!["--channel", "a=.", "--structure", &pair, "--output", "out"]),
            (
                "train",
                vec!["import", "--input", &published, "--channels", &channels, "--output", "out.safetensors"],
            ),
        ];
        if !name.is_empty() {
            let route = ["--label-route", "fluorescence_threshold", "--count", "2"];
            let label =
                [&["--checkpoint", &run, "--output", "out", "--label-name", name][..], &route].concat();
            calls.push(("generate", label));
        }
        for (program, arguments) in calls {
            let refused = place.check(name, program, &arguments);
            assert_eq!(refused.status.code(), Some(2), "{program} {arguments:?}: {}", stderr(&refused));
        }
        for row in [format!("{name},channel,bf,{movie}"), format!("a,channel,{name},{movie}")] {
            fs::write(place.work.join("hostile.csv"), format!("sample,kind,name,path\n{row}\n")).unwrap();
            let refused = place.check(name, "prepare", &["check", "hostile.csv"]);
            assert_eq!(refused.status.code(), Some(65), "{row}: {}", stderr(&refused));
        }
    }
}
