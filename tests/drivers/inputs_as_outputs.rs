//! Every output of every command at, in and above every input: refused, and no byte of an input changes.

use std::fs;
use std::os::unix::fs::symlink;

use super::commands::{Commands, text};
use crate::support::programs::{check_refused, names};
use crate::support::snapshot::{differing, snapshot};

#[test]
fn no_output_may_touch_an_input() {
    let commands = Commands::new();
    let inputs = commands.at("in");
    symlink("in", commands.at("link")).unwrap();
    let before = snapshot(&inputs);
    let mut runs = 0;
    for case in &commands.cases {
        for input in &case.inputs {
            let inner = input.strip_prefix(&inputs).unwrap();
            let mut places = vec![
                input.clone(),
                input.parent().unwrap().to_owned(),
                commands.at("link").join(inner),
                inputs.join("..").join("in").join(inner),
            ];
            if input.is_dir() {
                places.extend(["new", "new/deep"].map(|name| input.join(name)));
            }
            for (flag, _) in &case.outputs {
                // The first output is tried at all places, others at some, since they go the same way.
                let step = if *flag == case.outputs[0].0 { 1 } else { 3 };
                for place in places.iter().step_by(step) {
                    let place_text = text(place);
                    let more = [flag, place_text.as_str(), "--overwrite"];
                    let first = *flag == case.outputs[0].0;
                    let free = commands.at("free");
                    let ended = if first { case.run(place, &more[2..]) } else { case.run(&free, &more) };
                    runs += 1;
                    // The import asks for a name that ends in .safetensors first.
                    check_refused(&ended, 2, if case.name == "import" { &[] } else { &["the input"] });
                    assert_eq!(names(commands.dir.path()), ["in", "link"], "{} {flag}", case.name);
                }
            }
        }
        let now = snapshot(&inputs);
        assert!(now == before, "{}: {:?}", case.name, differing(&before, &now));
    }
    // The import again, with an input whose name an output may have.
    let import = commands.cases.iter().find(|case| case.name == "import").unwrap();
    let (input, other) = (inputs.join("a.safetensors"), inputs.join("b.safetensors"));
    fs::copy(&import.inputs[0], &input).unwrap();
    symlink("a.safetensors", &other).unwrap();
    for place in [&input, &other] {
        let ended = import.with("--input", &text(&input)).run(place, &["--overwrite"]);
        check_refused(&ended, 2, &["the input --input"]);
    }
    assert!(fs::read(&input).unwrap() == fs::read(&import.inputs[0]).unwrap());
    assert!(runs > 80, "{runs}");
}

#[test]
fn two_outputs_of_one_command_lie_apart() {
    let commands = Commands::new();
    for case in commands.cases.iter().filter(|case| case.outputs.len() > 1) {
        let output = commands.at("out");
        for (flag, end) in &case.outputs[1..] {
            for place in [output.clone(), output.join("deep").join(format!("x{end}"))] {
                let place = text(&place);
                for more in [&[*flag, &place][..], &[flag, &place, "--overwrite"]] {
                    let ended = case.run(&output, more);
                    check_refused(&ended, 2, &["the output"]);
                    assert_eq!(names(commands.dir.path()), ["in"], "{} {flag}", case.name);
                }
            }
        }
    }
}

#[test]
fn the_folder_of_a_file_is_looked_for_before_the_work() {
    let commands = Commands::new();
    for case in &commands.cases {
        for (flag, end) in case.outputs.iter().filter(|(flag, _)| !case.is_folder(flag)) {
            let place = text(&commands.at("nowhere").join(format!("x{end}")));
            let ended = if *flag == case.outputs[0].0 {
                case.run(&commands.at("nowhere").join(format!("x{end}")), &[])
            } else {
                case.run(&commands.at("out"), &[flag, &place])
            };
            if case.name == "import" {
                assert!(ended.status.success());
                fs::remove_dir_all(commands.at("nowhere")).unwrap();
                continue;
            }
            check_refused(&ended, 66, &["nowhere", flag]);
            assert_eq!(names(commands.dir.path()), ["in"], "{} {flag}", case.name);
        }
    }
}
