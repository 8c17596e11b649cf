//! Names of the hidden siblings of an output.

use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, Hasher};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Bytes that are kept free for what follows the name of the output in that of a sibling.
const RESERVED: usize = 32;
/// Longest name of a file where the file system does not tell.
const NAME_MAX: usize = 255;

/// Returns a new name for what is being written: `.NAME.partial-RANDOM`.
pub(super) fn partial(target: &Path) -> PathBuf {
    sibling(target, &format!(".partial-{}", random()))
}

/// Returns a new name for an output that is moved aside: `.NAME.old-RANDOM`.
pub(super) fn old(target: &Path) -> PathBuf {
    sibling(target, &format!(".old-{}", random()))
}

/// Returns the name of the lock: `.NAME.lock`.
pub(super) fn lock(target: &Path) -> PathBuf {
    sibling(target, ".lock")
}

/// Returns a new name, one that people see, for an output that could not get its final name.
pub(super) fn finished(target: &Path) -> PathBuf {
    let mut name = OsString::from_vec(stem(target).as_bytes()[1..].to_vec());
    name.push(format!(".finished-{}", random()));
    target.with_file_name(name)
}

/// What a sibling is, as its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sibling {
    /// An output that was being written.
    Partial,
    /// An old output that was moved aside.
    Old,
}

/// Returns what the sibling `name` of `target` is. Older versions wrote the process id in place of the random number.
pub(super) fn kind_of(target: &Path, name: &OsStr) -> Option<Sibling> {
    let rest = name.as_bytes().strip_prefix(stem(target).as_bytes())?;
    let of = |word: &[u8], kind| {
        let number = rest.strip_prefix(word)?;
        let plain = (1..=16).contains(&number.len()) && number.iter().all(u8::is_ascii_hexdigit);
        plain.then_some(kind)
    };
    of(b".partial-", Sibling::Partial).or_else(|| of(b".old-", Sibling::Old))
}

/// Returns the name of the file that a hidden partial name stands for: `a.json` of `.a.json.partial-17`.
pub(super) fn stands_for(partial: &str) -> Option<&str> {
    let (name, number) = partial.strip_prefix('.')?.rsplit_once(".partial-")?;
    number.bytes().all(|b| b.is_ascii_hexdigit()).then_some(name)
}

fn sibling(target: &Path, end: &str) -> PathBuf {
    let mut name = stem(target);
    name.push(end);
    target.with_file_name(name)
}

/// Returns `.NAME`, or its beginning with a digest of the whole where a sibling's name would be too long.
fn stem(target: &Path) -> OsString {
    let name = target.file_name().unwrap_or(OsStr::new("output")).as_bytes();
    let longest = target
        .parent()
        .and_then(|parent| rustix::fs::statvfs(parent).ok())
        .map_or(NAME_MAX, |system| system.f_namemax as usize)
        .clamp(RESERVED * 3, NAME_MAX);
    let mut stem = vec![b'.'];
    if 1 + name.len() + RESERVED <= longest {
        stem.extend_from_slice(name);
    } else {
        let digest = Sha256::digest(name);
        let mut end = (longest - RESERVED - 20).min(name.len());
        // Not in the middle of a character.
        while end > 0 && name.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
            end -= 1;
        }
        stem.extend_from_slice(&name[..end]);
        stem.push(b'~');
        stem.extend(digest[..8].iter().flat_map(|byte| format!("{byte:02x}").into_bytes()));
    }
    OsString::from_vec(stem)
}

/// Returns 16 random hexadecimal digits. They come from the system, not from the seed: two runs with one seed, and two
/// containers with one process id, must not choose the same name.
fn random() -> String {
    // Where the system gives none, the keys of a hash map still differ from process to process.
    let number = getrandom::u64().unwrap_or_else(|_| RandomState::new().build_hasher().finish());
    format!("{number:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_are_told_by_their_names() {
        let target = Path::new("/tmp/out.zarr");
        let name = |path: PathBuf| path.file_name().unwrap().to_owned();
        assert_eq!(kind_of(target, &name(partial(target))), Some(Sibling::Partial));
        assert_eq!(kind_of(target, &name(old(target))), Some(Sibling::Old));
        assert_ne!(partial(target), partial(target));
        for (text, kind) in [
            (".out.zarr.partial-17", Some(Sibling::Partial)),
            (".out.zarr.old-17", Some(Sibling::Old)),
            (".out.zarr.old-thesis", None),
            (".out.zarr.partial-", None),
            ("out.zarr.partial-17", None),
            (".out.zarr2.partial-17", None),
            (".out.zarr.lock", None),
        ] {
            assert_eq!(kind_of(target, OsStr::new(text)), kind, "{text}");
        }
        assert_eq!(stands_for(".a.json.partial-0f"), Some("a.json"));
        assert_eq!((stands_for("a.json.partial-0f"), stands_for(".a.partial-x")), (None, None));
    }

    #[test]
    fn siblings_of_the_longest_names_can_be_made() {
        let dir = tempfile::tempdir().unwrap();
        for (name, other) in [("a".repeat(255), "a".repeat(254)), ("µ".repeat(127), "µ".repeat(126))] {
            let [target, other] = [name, other].map(|name| dir.path().join(name));
            std::fs::write(&target, "").unwrap();
            for path in [partial(&target), old(&target), lock(&target), finished(&target)] {
                std::fs::write(&path, "").unwrap();
                assert!(path.to_str().is_some(), "a character was cut");
            }
            assert_ne!(lock(&target), lock(&other));
            assert_eq!(kind_of(&target, old(&target).file_name().unwrap()), Some(Sibling::Old));
        }
    }
}
