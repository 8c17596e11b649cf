//! An output that is an input, lies in one or holds one would destroy what it is made from.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How one path lies to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Both are the same file or folder.
    Same,
    /// The first lies in the second.
    Inside,
    /// The first holds the second.
    Around,
}

/// Returns how `a` lies to `b`, both resolved (see [`resolve`](super::resolve)); nothing where they lie apart.
///
/// Files and folders are also compared by what the file system calls them, so that another name of the same folder, as a
/// container may mount it, is found.
pub fn relation(a: &Path, b: &Path) -> Option<Relation> {
    let id = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
    let within = |inner: &Path, outer: &Path| {
        inner.starts_with(outer) || id(outer).is_some_and(|o| inner.ancestors().any(|at| id(at) == Some(o)))
    };
    match (within(a, b), within(b, a)) {
        (true, true) => Some(Relation::Same),
        (true, false) => Some(Relation::Inside),
        (false, true) => Some(Relation::Around),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::resolve;

    #[test]
    fn paths_are_compared_by_where_they_lead() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        std::fs::create_dir_all(at("rec/gfp")).unwrap();
        std::fs::write(at("rec/gfp/t0.tif"), "").unwrap();
        std::fs::hard_link(at("rec/gfp/t0.tif"), at("same.tif")).unwrap();
        std::os::unix::fs::symlink("rec", at("link")).unwrap();
        for (a, b, expected) in [
            ("rec", "rec", Some(Relation::Same)),
            ("link/gfp", "rec/gfp", Some(Relation::Same)),
            ("rec/gfp/../gfp/", "link/gfp", Some(Relation::Same)),
            ("same.tif", "rec/gfp/t0.tif", Some(Relation::Same)),
            ("link/new/out", "rec", Some(Relation::Inside)),
            ("rec", "link/gfp/t0.tif", Some(Relation::Around)),
            ("rec2", "rec", None),
            ("rec/phase", "rec/gfp", None),
            ("new", "new", Some(Relation::Same)),
            ("new/a", "new", Some(Relation::Inside)),
        ] {
            let [one, two] = [a, b].map(|path| resolve(&at(path)).unwrap());
            assert_eq!(relation(&one, &two), expected, "{a} and {b}");
        }
    }
}
