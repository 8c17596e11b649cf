//! Which files of two folders are the same frame: truth and prediction, image and mask.
//!
//! First by equal names, but for zeros before numbers, case and what tools append; where no name is equal, by the fields
//! that differ within each folder (`mask_001.png` and `t1_cp_masks.tif`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::fields::{Key, fields};
use super::{plain, stem};
use crate::input::file_names::{name, natural};

/// The files of two folders, paired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MatchedFiles {
    /// Files of both that are the same frame, in natural order.
    pub pairs: Vec<(PathBuf, PathBuf)>,
    /// Files that have no partner in the other folder.
    pub left: [Vec<PathBuf>; 2],
}

/// Pairs the files of two folders; `Err` names what keeps them from being compared.
///
/// # Errors
/// Text for people, where two files of a folder have one name or where names cannot be compared.
pub fn matching(a: &[PathBuf], b: &[PathBuf]) -> Result<MatchedFiles, String> {
    let by_name = [keys(a, |path| plain(&stem(path)))?, keys(b, |path| plain(&stem(path)))?];
    if by_name[0].keys().any(|key| by_name[1].contains_key(key)) {
        return Ok(pair(by_name));
    }
    if let ([one], [other]) = (a, b) {
        return Ok(MatchedFiles { pairs: vec![(one.clone(), other.clone())], ..MatchedFiles::default() });
    }
    let (Some(a), Some(b)) = (by_fields(a), by_fields(b)) else { return Ok(pair(by_name)) };
    let comparable = |x: &BTreeMap<Vec<Key>, &PathBuf>| x.keys().next().map(|key| kinds(key));
    if comparable(&a) != comparable(&b) {
        return Ok(pair(by_name));
    }
    Ok(pair([a, b]))
}

/// Returns files by a key; two of one key are an error.
fn keys(files: &[PathBuf], key: impl Fn(&Path) -> String) -> Result<BTreeMap<String, &PathBuf>, String> {
    let mut keys = BTreeMap::new();
    for file in files {
        if let Some(other) = keys.insert(key(file), file) {
            return Err(format!("{} and {} are one frame by their names", name(other), name(file)));
        }
    }
    Ok(keys)
}

/// Returns files by the fields that differ in their names; `None` where names are of several forms, or do not differ.
fn by_fields(files: &[PathBuf]) -> Option<BTreeMap<Vec<Key>, &PathBuf>> {
    let stems: Vec<String> = files.iter().map(|path| stem(path)).collect();
    let fields = fields(&stems).ok()?;
    // Fields that go with each other say the same.
    let mut differ: Vec<_> = fields.iter().filter(|f| f.varies()).collect();
    let all = differ.clone();
    let mut at = 0;
    differ.retain(|f| {
        at += 1;
        !all[..at - 1].iter().any(|other| other.goes_with(f))
    });
    let key = |i: usize| differ.iter().map(|f| f.values[i].key()).collect::<Vec<_>>();
    let keys: BTreeMap<Vec<Key>, &PathBuf> =
        files.iter().enumerate().map(|(i, path)| (key(i), path)).collect();
    (keys.len() == files.len() && !differ.is_empty()).then_some(keys)
}

fn kinds(key: &[Key]) -> Vec<u8> {
    key.iter()
        .map(|key| match key {
            Key::Number(_) => 0,
            Key::Milliseconds(_) => 1,
            Key::Word(_) => 2,
        })
        .collect()
}

fn pair<K: Ord>([a, mut b]: [BTreeMap<K, &PathBuf>; 2]) -> MatchedFiles {
    let mut matched = MatchedFiles::default();
    for (key, path) in a {
        match b.remove(&key) {
            Some(other) => matched.pairs.push((path.clone(), other.clone())),
            None => matched.left[0].push(path.clone()),
        }
    }
    matched.left[1].extend(b.into_values().cloned());
    let order = |a: &PathBuf, b: &PathBuf| natural(&name(a), &name(b));
    matched.pairs.sort_by(|a, b| order(&a.0, &b.0));
    matched.left.iter_mut().for_each(|left| left.sort_by(order));
    matched
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    fn of(a: &[&str], b: &[&str]) -> (Vec<String>, usize, usize) {
        let matched = matching(&paths(a), &paths(b)).unwrap();
        let text = |(a, b): &(PathBuf, PathBuf)| format!("{}={}", a.display(), b.display());
        (matched.pairs.iter().map(text).collect(), matched.left[0].len(), matched.left[1].len())
    }

    #[test]
    fn zeros_case_and_what_tools_append_make_no_difference() {
        let (pairs, ..) =
            of(&["t1.png", "t2.png", "t10.png"], &["T01_cp_masks.tif", "t02.tif", "t10_mask.tif"]);
        assert_eq!(pairs, ["t1.png=T01_cp_masks.tif", "t2.png=t02.tif", "t10.png=t10_mask.tif"]);
    }

    #[test]
    fn other_words_are_matched_by_what_differs() {
        let (pairs, a, b) = of(&["man_seg000.tif", "man_seg004.tif"], &["t0.tif", "t4.tif", "t5.tif"]);
        assert_eq!(
            (pairs, a, b),
            (vec!["man_seg000.tif=t0.tif".into(), "man_seg004.tif=t4.tif".into()], 0, 1)
        );
        let (pairs, ..) = of(&["cells.tif"], &["predicted.png"]);
        assert_eq!(pairs, ["cells.tif=predicted.png"]);
        let (pairs, ..) = of(&["xy1_t1.tif", "xy1_t2.tif", "xy2_t1.tif"], &["a01b02", "a01b01", "a02b01"]);
        assert_eq!(pairs, ["xy1_t1.tif=a01b01", "xy1_t2.tif=a01b02", "xy2_t1.tif=a02b01"]);
    }

    #[test]
    fn what_has_no_partner_is_left() {
        let (pairs, a, b) = of(&["t0.tif", "t1.tif"], &["t1.tif", "t2.tif"]);
        assert_eq!((pairs.len(), a, b), (1, 1, 1));
        let (pairs, a, b) = of(&["apple.tif", "pear.tif"], &["1.tif", "2.tif"]);
        assert_eq!((pairs.len(), a, b), (0, 2, 2));
        assert!(matching(&paths(&["t1.tif", "t01.tif"]), &paths(&["t1.tif"])).is_err());
    }

    proptest! {
        /// A renamed and shuffled copy meets its original in every case.
        #[test]
        fn renamed_copies_meet_their_originals(
            numbers in prop::collection::btree_set(0_u32..5000, 1..30),
            pad in 1_usize..6,
            suffix in prop::sample::select(vec!["", "_cp_masks", "_mask", "_seg", ".ome"]),
        ) {
            let a: Vec<PathBuf> = numbers.iter().map(|n| format!("movie_t{n}.tif").into()).collect();
            let b: Vec<PathBuf> = numbers.iter().rev().map(|n| format!("Movie_T{n:0pad$}{suffix}.tif").into()).collect();
            let matched = matching(&a, &b).unwrap();
            prop_assert_eq!(matched.pairs.len(), numbers.len());
            for ((a, b), n) in matched.pairs.iter().zip(&numbers) {
                let expected = format!("movie_t{n}.tif");
                prop_assert_eq!(a.to_str(), Some(expected.as_str()));
                let expected = format!("Movie_T{n:0pad$}{suffix}.tif");
                prop_assert_eq!(b.to_str(), Some(expected.as_str()));
            }
        }
    }
}
