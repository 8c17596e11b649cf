//! Files that are no published checkpoint, by accident or on purpose.

use std::fs;
use std::io::Cursor;

use lapsegan::import::published::{Published, TorchFileError, infer};
use lapsegan_core::error::{Advice, Exit};

use super::fixture;
use super::pieces::{container, number, numbers, pickle, storage, tensor, text, unzip, zip};

fn open(bytes: &[u8]) -> Result<(), TorchFileError> {
    let published = Published::read(Cursor::new(bytes), "bad.pt".into())?;
    infer(&published.parts, "bad.pt").map(|_| ())
}

/// Checks that a file is refused as bad input, with file, place and hint.
fn check_file(bytes: &[u8], words: &[&str]) {
    let error = open(bytes).expect_err("refused");
    let message = error.to_string();
    assert_eq!(error.exit(), Exit::BadInput, "{message}");
    assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{message}");
    assert!(message.len() < 600, "a message as long as the file: {message:.300}");
    for word in ["bad.pt"].iter().chain(words) {
        assert!(message.contains(word), "`{word}` not in {message}");
    }
}

/// As [`check_file`], of a pickle body in a sound container with one storage of 16 bytes.
fn check(body: &[u8], words: &[&str]) {
    check_file(&zip(&container(&pickle(body), &[16])), words);
}

#[test]
fn code_in_a_pickle_is_refused_by_name_and_place() {
    let command = [b"cos\nsystem\n", &text("touch /tmp/owned")[..], b"\x85R."].concat();
    check(&command, &["archive/data.pkl", "byte 2", "GLOBAL", "os.system"]);
    for module in
        ["posix\nsystem", "builtins\neval", "__builtin__\nexec", "torch\nload", "torch._utils\n_rebuild"]
    {
        let body = format!("c{module}\n.");
        check(body.as_bytes(), &["GLOBAL", "byte 2", &module.replace('\n', ".")]);
    }
    check(&[&text("a")[..], b")R."].concat(), &["REDUCE", "a call of a text"]);
    check(b"ctorch\nFloatStorage\n)R.", &["REDUCE", "Storage"]);
    check(b"ccollections\nOrderedDict\nK\x01\x85R.", &["REDUCE", "OrderedDict"]);
    check(b"(ios\nsystem\n.", &["INST", "0x69"]);
    check(b"(ccollections\nOrderedDict\no.", &["OBJ"]);
    check(b"ccollections\nOrderedDict\n)\x81.", &["NEWOBJ", "0x81"]);
    check(b"ccollections\nOrderedDict\n)}\x92.", &["NEWOBJ_EX"]);
    check(b"\x8c\x02os\x8c\x06system\x93.", &["SHORT_BINUNICODE"]);
    check(b"\x82\x01.", &["EXT1"]);
    check(b"\x83\x01\x00.", &["EXT2"]);
    check(b"\x84\x01\x00\x00\x00.", &["EXT4"]);
    check(b"Pstorage\n.", &["PERSID"]);
    check(b"\xff.", &["unknown", "0xff"]);
    check(b"c", &["GLOBAL", "without end"]);
}

#[test]
fn attributes_are_refused_but_for_the_versions_of_modules() {
    check(b"}}b.", &["BUILD", "something else than an OrderedDict"]);
    let state = [b"ccollections\nOrderedDict\n)R}", &text("__class__")[..], b"K\x01sb."].concat();
    check(&state, &["BUILD", "__class__", "_metadata"]);
    // Sound, and then no checkpoint.
    let state = [b"ccollections\nOrderedDict\n)R}", &text("_metadata")[..], b"}sb."].concat();
    check(&state, &["generator_ema", "missing"]);
}

#[test]
fn lengths_are_not_believed() {
    check(b"X\xff\xff\xff\xff.", &["BINUNICODE", "4294967295"]);
    check(b"X\x00\x01\x00\x00ab.", &["BINUNICODE", "256 bytes wanted"]);
    check(b"\x8a\xff.", &["LONG1", "255 bytes"]);
    check(b"J\x01", &["BININT", "incomplete"]);
    check(b"X\x02\x00\x00\x00\xff\xfe.", &["BINUNICODE", "utf-8"]);
    check(b"", &["STOP", "incomplete"]);
    check(b"N.N.", &["STOP", "2 bytes follow"]);
    check(b"NN.", &["left on the stack"]);
    check(b"(.", &["STOP", "empty"]);
    check(b"]q\x00r\xff\xff\xff\xff.", &["a list, expected a dict"]);
}

#[test]
fn deep_cyclic_and_empty_structures_end_with_an_error() {
    check(&[b'('; 5000], &["MARK", "nested deeper than 64"]);
    check(&vec![b']'; 1 << 20], &["EMPTY_LIST", "nested too deeply"]);
    let deep = [b"N".to_vec(), vec![0x85; (1 << 20) - 3], b".".to_vec()].concat();
    check(&deep, &["a tuple, expected a dict"]);
    check(&[deep, vec![b'N'; 8]].concat(), &["STOP"]);
    check(b"0000", &["POP"]);
    check(&[b"N".to_vec(), b"q\x00".repeat(1 << 20)].concat(), &["opcodes"]);
    check(b"]q\x00h\x00a.", &["a list, expected a dict"]);
    let own = [b"}q\x00", &text("generator_ema")[..], b"h\x00s."].concat();
    check(&own, &["generator_ema", "constant_input_1"]);
    check(b"h\x05.", &["BINGET", "nothing is stored at 5"]);
    check(b"a.", &["APPEND", "empty"]);
    check(b"NNa.", &["APPEND", "no list"]);
    check(b"e.", &["APPENDS", "no mark"]);
    check(b"(Nu.", &["SETITEMS", "empty"]);
    check(b"}(Nu.", &["SETITEMS", "no value"]);
    check(b"}]Ns.", &["SETITEM", "neither text nor whole number"]);
    check(&[b"}", &text("a")[..], b"Ns", &text("a")[..], b"Ns."].concat(), &["SETITEM", "a is there twice"]);
    check(b"N(\x85.", &["TUPLE1", "too few"]);
}

#[test]
fn tensors_must_lie_inside_their_storage() {
    let sound = storage("0", 4);
    let bad = |storage: &[u8], offset: i64, size: &[i64], stride: &[i64], words: &[&str]| {
        check(&[&tensor(storage, offset, size, stride)[..], b"."].concat(), words);
    };
    bad(&sound, 0, &[2, 2], &[2, 1], &["a tensor, expected a dict"]);
    for (offset, size, stride) in [
        (1, vec![2, 2], vec![2, 1]),
        (-1, vec![2], vec![1]),
        (5, vec![], vec![]),
        (i64::MAX, vec![1], vec![1]),
        (0, vec![2], vec![4]),
        (0, vec![5], vec![0]),
        (0, vec![i64::MAX], vec![0]),
        (0, vec![i64::MAX, i64::MAX], vec![i64::MAX, i64::MAX]),
        (0, vec![2, 2], vec![i64::MAX, i64::MAX]),
    ] {
        bad(&sound, offset, &size, &stride, &["REDUCE", "does not fit into storage 0 of 4"]);
    }
    bad(&sound, 0, &[-2], &[1], &["negative"]);
    bad(&sound, 3, &[2], &[-1], &["negative"]);
    bad(&sound, 0, &[2], &[1, 1], &["different lengths"]);
    bad(&sound, 0, &[1; 9], &[1; 9], &["9 axes"]);
    bad(&storage("0", 5), 0, &[1], &[1], &["BINPERSID", "storage 0 of 5 Float numbers has 16 bytes"]);
    bad(&storage("0", -1), 0, &[1], &[1], &["BINPERSID", "-1"]);
    bad(&storage("0", i64::MAX), 0, &[1], &[1], &["BINPERSID"]);
    bad(&storage("1", 4), 0, &[1], &[1], &["BINPERSID", "storage 1 is missing"]);
    bad(&storage("../version", 4), 0, &[1], &[1], &["BINPERSID", "expected a number"]);
    check(&[&numbers(&[1, 2])[..], b"Q."].concat(), &["BINPERSID", "no storage"]);
    check(b"NQ.", &["BINPERSID", "None, expected a tuple"]);
    let hooked =
        [b"ctorch._utils\n_rebuild_tensor_v2\n(", &sound[..], &number(0), b"))\x89}K\x01K\x01stR."].concat();
    check(&hooked, &["REDUCE", "hooks"]);
}

#[test]
fn containers_that_torch_did_not_write_are_refused() {
    let good = fs::read(fixture("published.pt")).unwrap();
    for length in [0, 3, 30, 1000, good.len() / 2, good.len() - 100, good.len() - 1] {
        check_file(&good[..length], &[]);
    }
    check_file(b"", &["an empty file"]);
    check_file(b"<html>not found</html>", &["no zip file"]);
    check_file(b"\x80\x02}.", &["a bare pickle"]);
    let legacy = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e\x80\x02M\xe9\x03.";
    check_file(legacy, &["machine", "incomplete"]);

    let mut script = container(&pickle(b"}."), &[]);
    script.insert("archive/constants.pkl".into(), pickle(b")."));
    check_file(&zip(&script), &["TorchScript"]);
    let mut two = container(&pickle(b"}."), &[]);
    two.insert("other/data.pkl".into(), pickle(b"}."));
    check_file(&zip(&two), &["more than one data.pkl"]);
    let mut none = container(&pickle(b"}."), &[]);
    none.remove("archive/data.pkl");
    check_file(&zip(&none), &["without data.pkl"]);
    let mut big_endian = container(&pickle(b"}."), &[]);
    big_endian.insert("archive/byteorder".into(), b"big".to_vec());
    check_file(&zip(&big_endian), &["byteorder", "big"]);
    let mut long = container(&vec![b'N'; (16 << 20) + 1], &[]);
    check_file(&zip(&long), &["16777217 bytes"]);
    long.clear();
    check_file(&[b"PK\x03\x04".to_vec(), zip(&long)].concat(), &["without data.pkl"]);

    let sound = zip(&container(&pickle(b"}."), &[4]));
    let table = sound.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    let change = |at: usize, to: &[u8], words: &[&str]| {
        let mut bytes = sound.clone();
        bytes[at..at + to.len()].copy_from_slice(to);
        check_file(&bytes, words);
    };
    change(table + 10, &[8], &["compressed or encrypted"]);
    change(table + 8, &[1], &["compressed or encrypted"]);
    change(table + 16, &[0; 4], &["checksum"]);
    change(table + 24, &[0xff; 4], &["does not fit"]);
    change(table + 42, &[0xff; 4], &["does not fit"]);
    change(table + 46, &[0xff], &["no text"]);
    change(table, b"XX", &["damaged at byte 0"]);
    change(0, b"PK\x03\x05", &["no zip file"]);
    change(sound.len() - 6, &[0xff; 4], &["does not fit"]);
    change(sound.len() - 12, &[9], &["expected 9"]);
}

#[test]
fn a_tensor_that_is_missing_or_of_another_shape_is_named() {
    let good = unzip(&fs::read(fixture("published.pt")).unwrap());
    let pickle = &good["published/data.pkl"];
    let change = |from: &[u8], to: &[u8], words: &[&str]| {
        let at = pickle.windows(from.len()).position(|w| w == from).expect("in the fixture");
        let mut changed = good.clone();
        changed.get_mut("published/data.pkl").unwrap()[at..at + to.len()].copy_from_slice(to);
        check_file(&zip(&changed), words);
    };
    assert!(open(&zip(&good)).is_ok());
    // The averaged generator comes first in the file.
    let layer = "generator_ema.main_convolutions_1.1.modulated_convolution.weight";
    change(
        b"module.main_convolutions_1.1.modulated_convolution.weight",
        b"module.main_convolutions_1.1.modulated_convolution.weighX",
        &[layer, "missing"],
    );
    // The last extent of its shape [1, 16, 16, 3, 3] is said to be 1.
    let shape = b"module.main_convolutions_1.1.modulated_convolution.weight";
    let name = pickle.windows(shape.len()).position(|w| w == shape).unwrap();
    let extents = pickle[name..].windows(4).position(|w| w == b"K\x03K\x03").expect("its shape") + name;
    let mut changed = good.clone();
    changed.get_mut("published/data.pkl").unwrap()[extents + 3] = 1;
    check_file(&zip(&changed), &[layer, "has shape", "3, 1]", "3, 3]"]);
    // A name that is there already.
    change(
        b"module.main_convolutions_1.0.modulated_convolution.weight",
        b"module.main_convolutions_1.2.modulated_convolution.weight",
        &["SETITEMS", "is there twice"],
    );
    change(b"generator_ema", b"generator_emb", &["generator_ema", "missing"]);
    change(b"param_groups", b"param_groupz", &["generator_optimizer.param_groups"]);
    change(b"exp_avg_sq", b"exp_avg_sX", &["generator_optimizer.state.0.exp_avg_sq"]);
}

#[test]
fn one_storage_under_many_names_does_not_multiply() {
    let mut body = b"}(".to_vec();
    for key in ["generator_ema", "generator", "discriminator"] {
        body.extend(text(key));
        body.extend(b"}(");
        for i in 0..50 {
            body.extend(text(&format!("constant_input_1.{i}encoder_blocks.0.")));
            body.extend(tensor(&storage("0", 1 << 18), 0, &[1 << 18], &[1]));
        }
        for name in ["constant_input_1.", "encoder_blocks.0."] {
            body.extend(text(name));
            body.extend(tensor(&storage("0", 1 << 18), 0, &[1], &[1]));
        }
        body.extend(b"u");
    }
    body.extend(b"u.");
    check_file(&zip(&container(&pickle(&body), &[1 << 20])), &["storages are shared"]);
}
