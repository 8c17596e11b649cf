//! `prepare check`: samplesheets of the workflows, and plates.

use std::fs;
use std::path::Path;

use crate::support::programs::{check_findings, fail, names, run, run_in, succeed};

const HEADER: &str = "sample,kind,name,path,pixel_size,frame_interval\n";

fn write(dir: &Path, rows: &str) -> String {
    let path = dir.join("samples.csv");
    fs::write(&path, format!("{HEADER}{rows}")).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_good_sheet_is_printed_by_sample_with_paths_as_seen_from_here() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["m/phase", "m/cells", "p.ome.zarr"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    fs::write(dir.path().join("p.ome.zarr/zarr.json"), "{}").unwrap();
    let sheet = write(
        dir.path(),
        "A,channel,phase,m/phase,0.1,300\nP,plate,,p.ome.zarr,,\nA,labels,cells,m/cells,,300\nS,phantom,,,,\n",
    );
    let before = names(dir.path());
    let result = succeed("prepare", &["check", &sheet]);
    let samples = result["samples"].as_array().unwrap();
    let kinds: Vec<_> =
        samples.iter().map(|s| (s["sample"].as_str().unwrap(), s["kind"].as_str().unwrap())).collect();
    assert_eq!(kinds, [("A", "recording"), ("P", "plate"), ("S", "phantom")]);
    assert_eq!((&samples[0]["pixel_size"], &samples[0]["frame_interval"]), (&0.1.into(), &300.0.into()));
    let row = &samples[0]["rows"][1];
    assert_eq!((&row["line"], &row["kind"], &row["name"]), (&4.into(), &"labels".into(), &"cells".into()));
    assert_eq!(row["path"], "m/cells");
    assert_eq!(row["resolved"].as_str().unwrap(), dir.path().join("m/cells").to_str().unwrap());
    assert_eq!(names(dir.path()), before, "check writes nothing");
    // From its own folder, and with the paths elsewhere.
    let here = run_in(dir.path(), "prepare", &["check", "samples.csv"]);
    assert!(here.status.success());
    let there = run_in(Path::new("/"), "prepare", &["check", &sheet, "--base", dir.path().to_str().unwrap()]);
    assert!(there.status.success());
}

#[test]
fn everything_wrong_is_listed_at_once_and_missing_paths_have_a_code_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("there")).unwrap();
    fs::write(dir.path().join("file.czi"), "").unwrap();
    let sheet = write(dir.path(), "A,channel,phase,gone/phase,,\nA,channel,gfp,there,,\n");
    fail(
        "prepare",
        &["check", &sheet],
        66,
        &["1 problem\n", "line 2, column 4 (path)", "gone/phase is not there"],
    );
    succeed("prepare", &["check", &sheet, "--missing-ok"]);

    let rows = "A,channel,phase,gone,,\nA,channel,phase,there,0,\nB,plate,,there,,\nC,channel,x,file.czi,,\n";
    let sheet = write(dir.path(), rows);
    let words = [
        "5 problems",
        "line 2, column 4 (path)",
        "line 3, column 3 (name): channel phase of sample A is on line 2 already",
        "line 3, column 5 (pixel_size): is `0`",
        "line 4, column 4 (path)",
        "no zarr.json",
        "line 5, column 4 (path)",
        "is a file",
    ];
    fail("prepare", &["check", &sheet], 65, &words);
    let many = write(dir.path(), &"A B,what,,,,\n".repeat(500));
    fail("prepare", &["check", &many], 65, &["1000 problems", "and 950 more"]);
}

#[test]
fn sheets_that_are_none_are_refused_without_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let sheet = dir.path().join("s.csv");
    let path = sheet.to_str().unwrap();
    fail("prepare", &["check", path], 66, &["s.csv is not there", "samplesheet"]);
    fail("prepare", &["check", dir.path().to_str().unwrap()], 65, &["is a folder"]);
    for (bytes, words) in [
        (&b""[..], "no rows"),
        (b"\0\0\0\0", "expected one of sample"),
        (b"\x89PNG\r\n\x1a\n", "no UTF-8"),
        (b"sample;kind;name;path\nA;channel;x;y\n", "semicolons"),
        (b"sample,kind,name,path\n\"A,channel,x,y\n", "line 2: has 1 fields, expected 4"),
        (b"sample,kind,path\n", "the header has no column name"),
    ] {
        fs::write(&sheet, bytes).unwrap();
        fail("prepare", &["check", path], 65, &[words]);
    }
    let good = write(dir.path(), "S,phantom,,,,\n");
    fail("prepare", &["check", &good, "--base", "nowhere"], 66, &["nowhere", "--base"]);
    fail("prepare", &["check", &good, "--set", "a=1"], 2, &["--set"]);
    assert_eq!(run("prepare", &["check"]).status.code(), Some(2));
}

#[test]
fn the_example_in_the_help_works() {
    let root = &crate::support::root();
    let help = String::from_utf8(run("prepare", &["check", "--help"]).stdout).unwrap();
    let examples: Vec<&str> = help.split("Examples:").nth(1).unwrap().trim().lines().map(str::trim).collect();
    assert_eq!(examples.len(), 3, "{help}");
    // The last one is of a plate, as other tests check.
    for example in &examples[..2] {
        let arguments: Vec<&str> = example.split_whitespace().skip(1).collect();
        let output = run_in(root, "prepare", &arguments);
        assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Exchanges two files or folders.
fn swap(a: &Path, b: &Path) {
    let aside = a.with_extension("aside");
    fs::rename(a, &aside).unwrap();
    fs::rename(b, a).unwrap();
    fs::rename(aside, b).unwrap();
}

#[test]
fn swapped_wells_and_altered_files_of_a_plate_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let plate = dir.path().join("p.ome.zarr");
    let plate_arg = plate.to_str().unwrap();
    let make = ["phantom", "--positions", "3", "--frames-per-position", "4", "--output", plate_arg];
    let written = succeed("prepare", &make);
    let before = names(dir.path());
    let good = succeed("prepare", &["check", plate_arg]);
    assert_eq!(good["wells"]["as_written"], written["sequences"], "{good}");
    assert_eq!(good["wells"]["changed"], serde_json::json!([]));
    assert_eq!(names(dir.path()), before, "check writes nothing");

    // Whole wells, their images, one shard, one label shard: every array can be read, and is in the wrong place.
    for inside in ["", "0", "0/0", "0/0/c", "0/labels/cells", "0/labels/cells/0/c"] {
        let [a, b] = ["A/1", "A/2"].map(|well| plate.join(well).join(inside));
        swap(&a, &b);
        let found =
            check_findings(&run("prepare", &["check", plate_arg]), 65, &["p.ome.zarr: 2 of", "A/1, A/2"]);
        assert_eq!(found["wells"]["changed"], serde_json::json!(["A/1", "A/2"]));
        swap(&a, &b);
    }
    // Read all the same, as hands may have corrected labels.
    let extra = plate.join("A/2/0/labels/cells/note.txt");
    fs::write(&extra, "by hand").unwrap();
    check_findings(&run("prepare", &["check", plate_arg]), 65, &["1 of", "A/2"]);
    fs::remove_file(extra).unwrap();
    // A file of an engine is nobody's.
    fs::write(plate.join("A/1/.snakemake_timestamp"), "").unwrap();
    succeed("prepare", &["check", plate_arg]);

    // A plate of before has no digests.
    let well = plate.join("A/1/zarr.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&well).unwrap()).unwrap();
    json["attributes"].as_object_mut().unwrap().remove("lapsegan").unwrap();
    fs::write(&well, json.to_string()).unwrap();
    let output = run("prepare", &["check", plate_arg]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("1 wells have no digest"));
    fs::remove_file(plate.join("A/1/0/0/c/0/0/0/0")).unwrap();
    let found =
        check_findings(&run("prepare", &["check", plate_arg]), 65, &["A/1/0/0/c/0/0/0/0: is missing"]);
    assert_eq!(found["findings"]["problems"][0]["rule"], "pixels");
    fail("prepare", &["check", plate_arg, "--missing-ok"], 2, &["--missing-ok are for samplesheets"]);
}
