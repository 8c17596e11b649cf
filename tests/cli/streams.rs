//! Streams that are closed or full, and arguments that are no text.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use crate::support::drawings::Drawing;
use crate::support::programs::{path, program, stderr};

const PROGRAMS: [&str; 5] = ["prepare", "train", "generate", "evaluate", "segment-benchmark"];

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// Makes small plates `real` and `other` in a folder.
fn plates(folder: &std::path::Path) -> [String; 2] {
    let [real, other] = ["real", "other"].map(|name| folder.join(format!("{name}.ome.zarr")));
    Drawing { side: 16, ..Drawing::real() }.write(&real);
    Drawing { side: 16, ..Drawing::synthetic() }.write(&other);
    [real, other].map(|path| path.display().to_string())
}

#[test]
fn a_stderr_that_is_full_or_closed_ends_no_run() {
    let dir = tempfile::tempdir().unwrap();
    let [real, other] = plates(dir.path());
    let output = |n: usize, name: &str| dir.path().join(format!("{name}-{n}")).display().to_string();
    for n in 0..2 {
        let (run, evaluation, phantom) = (output(n, "run"), output(n, "evaluation"), output(n, "p.ome.zarr"));
        let commands = [
            (
                "train",
                vec![
                    "--data",
                    &real,
                    "--output",
                    &run,
                    "--kimg",
                    "0.016",
                    "--set",
                    "training.tick_kimg=0.008",
                ],
            ),
            (
                "evaluate",
                vec!["--real", &real, "--synthetic", &other, "--output", &evaluation, "--set", "draws=2"],
            ),
            (
                "prepare",
                vec!["phantom", "--output", &phantom, "--positions", "3", "--size", "32", "--frames", "2"],
            ),
            ("segment-benchmark", vec!["score", "--truth", &real, "--prediction", &real]),
        ];
        for (name, arguments) in commands {
            let mut command = program(name);
            command.args(&arguments).stdout(Stdio::null());
            let mut child = if n == 0 {
                command.stderr(full()).spawn().unwrap()
            } else {
                let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
                drop(child.stderr.take());
                child
            };
            assert_eq!(child.wait().unwrap().code(), Some(0), "{name} {n}");
        }
    }
}

#[test]
fn a_result_that_cannot_be_written_is_an_error_and_a_reader_that_leaves_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let [real, _] = plates(dir.path());
    let score = ["score", "--truth", &real, "--prediction", &real, "-q"];
    for arguments in [&score[..], &["--version"], &["--version", "--json"], &["--help"]] {
        let output = program("segment-benchmark").args(arguments).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains("cannot be written to stdout"), "{}", stderr(&output));
        let mut child = program("segment-benchmark").args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
    }
    // Both closed.
    let both = Command::new("sh").arg("-c").arg("exec \"$0\" --version >&- 2>&-").arg(path("train")).status();
    assert_eq!(both.unwrap().code(), Some(0));
}

#[test]
fn arguments_that_are_no_text_are_refused_by_all_programs() {
    let odd = OsStr::from_bytes(b"n\xff\xfe");
    for name in PROGRAMS {
        let output = program(name).arg("--output").arg(odd).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(stderr(&output).contains("UTF-8") && stderr(&output).contains("hint"), "{name}");
    }
}
