//! Weights in every form that users have them in, and files that are no such weights.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use lapsegan::features::{FeatureError, Inception, Variant, Weights};
use lapsegan::torch_file::TorchFile;
use lapsegan_core::error::{Advice, Exit};
use tch::{Device, Kind, Tensor};

use super::{formula, tensors};
use crate::published::pieces::{number, numbers, pickle, storage, tensor, text, zip};

/// Two tensors over two storages, as values of a dict.
const NAMES: [&str; 2] = ["module.a.weight", "module.a.bias"];

/// Returns the values behind the names of a file.
fn found(bytes: &[u8]) -> Vec<(String, Vec<f64>)> {
    let mut file = TorchFile::read(Cursor::new(bytes), "w.pth".into()).unwrap();
    let named = file.named_tensors();
    named.into_iter().map(|(name, view)| (name, formula::values(&file.tensor(&view).unwrap()))).collect()
}

fn expected() -> Vec<(String, Vec<f64>)> {
    NAMES.map(str::to_owned).into_iter().zip([vec![1.0, 2.0, 3.0, 4.0], vec![5.0, 6.0]]).collect()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Returns the opcodes of the two tensors, over storages of these opcodes.
fn two(storages: [Vec<u8>; 2]) -> [Vec<u8>; 2] {
    [tensor(&storages[0], 0, &[2, 2], &[2, 1]), tensor(&storages[1], 0, &[2], &[1])]
}

fn container(data: &[u8]) -> std::collections::BTreeMap<String, Vec<u8>> {
    [
        ("archive/data.pkl".to_owned(), data.to_vec()),
        ("archive/data/0".to_owned(), floats(&[1.0, 2.0, 3.0, 4.0])),
        ("archive/data/1".to_owned(), floats(&[5.0, 6.0])),
    ]
    .into()
}

/// Returns a file of torch before 1.6 around the pickle of its data.
fn legacy(data: &[u8]) -> Vec<u8> {
    let machine =
        [b"}(", &text("little_endian")[..], b"\x88", &text("protocol_version"), b"M\xe9\x03u."].concat();
    let keys = [b"](", &text("7")[..], &text("8"), b"e."].concat();
    let stored = |values: &[f32]| [&(values.len() as i64).to_le_bytes()[..], &floats(values)].concat();
    [
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e\x80\x02M\xe9\x03.",
        &pickle(&machine)[..],
        &pickle(data),
        &pickle(&keys),
        &stored(&[1.0, 2.0, 3.0, 4.0]),
        &stored(&[5.0, 6.0]),
    ]
    .concat()
}

/// Returns the opcodes of a storage of the old form: with `None` for the view it is of.
fn old_storage(key: &str, len: i64) -> Vec<u8> {
    let id =
        [&text("storage")[..], b"ctorch\nFloatStorage\n", &text(key), &text("cuda:0"), &number(len), b"N"];
    [b"(", &id.concat()[..], b"tQ"].concat()
}

#[test]
fn state_dicts_are_read_nested_or_not() {
    let [a, b] = two([storage("0", 4), storage("1", 2)]);
    let items = [&text(NAMES[0])[..], &a, &text(NAMES[1]), &b].concat();
    let plain = [b"ccollections\nOrderedDict\n)R(", &items[..], b"u."].concat();
    assert_eq!(found(&zip(&container(&pickle(&plain)))), expected());
    let nested = [b"}(", &text("epoch")[..], b"K\x07", &text("state_dict"), b"}(", &items, b"uu."].concat();
    let names: Vec<_> = found(&zip(&container(&pickle(&nested)))).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, NAMES.map(|name| format!("state_dict.{name}")));
}

#[test]
fn the_form_of_torch_before_1_6_is_read() {
    let [a, b] = two([old_storage("7", 4), old_storage("8", 2)]);
    let data =
        [b"ccollections\nOrderedDict\n)R(", &text(NAMES[0])[..], &a, &text(NAMES[1]), &b, b"u."].concat();
    let whole = legacy(&data);
    assert_eq!(found(&whole), expected());
    for cut in [whole.len() - 1, whole.len() - 12, 120, 40, 23] {
        let error = TorchFile::read(Cursor::new(&whole[..cut]), "w.pth".into()).unwrap_err();
        assert_eq!(error.exit(), Exit::BadInput, "{cut}: {error}");
    }
    let longer = [&whole[..], b"x"].concat();
    let error = TorchFile::read(Cursor::new(&longer), "w.pth".into()).unwrap_err().to_string();
    assert!(error.contains("1 bytes follow"), "{error}");
    let mut other = whole;
    let at = other.len() - 16;
    other[at] = 9;
    let error = TorchFile::read(Cursor::new(&other), "w.pth".into()).unwrap_err().to_string();
    assert!(error.contains("storage 8"), "{error}");
}

#[test]
fn what_python_2_wrote_is_read() {
    let short = |text: &str| [&[b'U', text.len() as u8][..], text.as_bytes()].concat();
    let old = |key: &str, len: i64| {
        let id = [
            &short("storage")[..],
            b"ctorch\nFloatStorage\n",
            &short(key),
            &short("cpu"),
            &number(len),
            b"N",
        ];
        [b"(", &id.concat()[..], b"tQ"].concat()
    };
    let view = |storage: &[u8], size: &[i64], stride: &[i64]| {
        let arguments = [storage, b"K\x00", &numbers(size), &numbers(stride)].concat();
        [b"ctorch._utils\n_rebuild_tensor\n(", &arguments[..], b"tR"].concat()
    };
    let (a, b) = (view(&old("7", 4), &[2, 2], &[2, 1]), view(&old("8", 2), &[2], &[1]));
    let pair = |name: &str, value: &[u8]| [b"](", &short(name)[..], value, b"e"].concat();
    let items = [b"](", &pair(NAMES[0], &a)[..], &pair(NAMES[1], &b), b"e"].concat();
    let data = [b"ccollections\nOrderedDict\n", &items[..], b"\x85R."].concat();
    assert_eq!(found(&legacy(&data)), expected());
}

#[test]
fn modules_of_torchscript_are_read_and_their_code_is_not_run() {
    let [a, b] = two([storage("0", 4), storage("1", 2)]);
    let layer = [
        b"c__torch__.torch.nn.Linear\nLinear\n)\x81}(",
        &text("training")[..],
        b"\x89",
        &text("weight"),
        &a,
        &text("bias"),
        &b,
        b"ub",
    ]
    .concat();
    let module =
        |name: &str, inner: &[u8]| [b"c__torch__.Net\nNet\n)\x81}(", &text(name)[..], inner, b"ub"].concat();
    let data = [&module("module", &module("a", &layer))[..], b"."].concat();
    let mut entries = container(&pickle(&data));
    entries.insert("archive/constants.pkl".into(), pickle(b")."));
    entries.insert("archive/code/__torch__.py".into(), b"raise SystemExit".to_vec());
    assert_eq!(found(&zip(&entries)), expected());
    // Outside of such an archive its modules are names like any other.
    let error = TorchFile::read(Cursor::new(zip(&container(&pickle(&data)))), "w.pth".into()).unwrap_err();
    assert!(error.to_string().contains("__torch__.Net.Net is not among the names"), "{error}");
}

#[test]
fn a_dict_that_holds_itself_ends() {
    let data = [b"}q\x00", &text("a")[..], b"h\x00s."].concat();
    assert_eq!(found(&zip(&container(&pickle(&data)))), []);
    // Under 60 names there would be 60^16 ways through it.
    let items: Vec<u8> = (0..60).flat_map(|i| [&text(&format!("k{i}"))[..], b"h\x00"].concat()).collect();
    let data = [b"}q\x00(", &items[..], b"u."].concat();
    assert_eq!(found(&zip(&container(&pickle(&data)))), []);
}

#[test]
fn one_list_for_many_dicts_does_not_fill_the_memory() {
    let pairs: Vec<u8> =
        (0..4000).flat_map(|i| [b"](", &text(&format!("k{i}"))[..], b"K\x01e"].concat()).collect();
    let list = [b"](", &pairs[..], b"eq\x00"].concat();
    let calls = b"ccollections\nOrderedDict\nh\x00\x85R".repeat(4000);
    let data = [b"](", &list[..], &calls, b"e."].concat();
    let error = TorchFile::read(Cursor::new(zip(&container(&pickle(&data)))), "w.pth".into()).unwrap_err();
    assert!(error.to_string().contains("items are copied"), "{error}");
}

#[test]
fn entries_that_lie_upon_each_other_are_refused() {
    let [a, b] = two([storage("0", 4), storage("1", 2)]);
    let plain = [b"}(", &text(NAMES[0])[..], &a, &text(NAMES[1]), &b, b"u."].concat();
    let mut entries = container(&pickle(&plain));
    entries.insert("archive/large".into(), vec![0; 5000]);
    let mut bytes = zip(&entries);
    assert_eq!(found(&bytes), expected());
    // Two further names for the large one, in the table only.
    let table = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    let end = bytes.len() - 22;
    let large = (table..end).rfind(|&at| bytes[at..].starts_with(b"PK\x01\x02")).unwrap();
    let record = bytes[large..end].to_vec();
    let mut more = Vec::new();
    for letter in [b'X', b'Y'] {
        let mut copy = record.clone();
        *copy.last_mut().unwrap() = letter;
        more.extend(copy);
    }
    let count = u16::from_le_bytes([bytes[end + 10], bytes[end + 11]]) + 2;
    let size = (end - table + more.len()) as u32;
    bytes.splice(end..end, more.iter().copied());
    let end = end + more.len();
    bytes[end + 8..end + 10].copy_from_slice(&count.to_le_bytes());
    bytes[end + 10..end + 12].copy_from_slice(&count.to_le_bytes());
    bytes[end + 12..end + 16].copy_from_slice(&size.to_le_bytes());
    let error = TorchFile::read(Cursor::new(&bytes), "w.pth".into()).unwrap_err();
    assert!(error.to_string().contains("they overlap"), "{error}");
}

fn refused(path: &Path, words: &[&str]) {
    let read = || -> Result<(), FeatureError> {
        let weights = Weights::read(path, "Conv2d_1a_3x3.conv.weight")?;
        Inception::new(&weights, Variant::Fid, Device::Cpu, Kind::Float).map(|_| ())
    };
    let error = read().expect_err("refused");
    let message = error.to_string();
    assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{message}");
    assert!(error.exit() == Exit::BadInput || !path.is_file(), "{message}");
    let name = path.file_name().unwrap().to_str().unwrap();
    for word in [&[name], words].concat() {
        assert!(message.contains(word), "`{word}` not in {message}");
    }
}

#[test]
fn weights_of_another_network_are_refused_by_the_first_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, tensors: &[(String, Tensor)]| {
        let path = folder.path().join(name);
        Tensor::write_safetensors(tensors, &path).unwrap();
        path
    };
    let mut fid = tensors("inception_fid_keys.json");
    fid.retain(|(name, _)| name.starts_with("Conv2d"));
    refused(&written("cut.safetensors", &fid), &["Mixed_5b.branch1x1.conv.weight", "missing"]);
    fid[0].1 = fid[0].1.narrow(0, 0, 16);
    refused(
        &written("small.safetensors", &fid),
        &["Conv2d_1a_3x3.conv.weight", "[16, 3, 3, 3]", "[32, 3, 3, 3]"],
    );
    fid[0].1 = Tensor::full([32, 3, 3, 3], f64::NAN, (Kind::Float, Device::Cpu));
    refused(&written("nan.safetensors", &fid), &["Conv2d_1a_3x3.conv.weight", "no numbers"]);
    let other = written("other.safetensors", &[("layer1.weight".to_owned(), fid[1].1.shallow_clone())]);
    refused(&other, &["Conv2d_1a_3x3.conv.weight", "missing", "layer1.weight"]);

    let bytes = fs::read(&other).unwrap();
    let cut = folder.path().join("truncated.safetensors");
    fs::write(&cut, &bytes[..bytes.len() - 5]).unwrap();
    refused(&cut, &[]);
    for (name, bytes) in [("page.pth", &b"<html>not found</html>"[..]), ("empty.pth", b"")] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        refused(&path, &[]);
    }
    refused(&folder.path().join("absent.pth"), &[]);
    refused(folder.path(), &[]);
}
