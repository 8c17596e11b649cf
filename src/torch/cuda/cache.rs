//! Compiled kernels between runs: `$XDG_CACHE_HOME/lapsegan` or `~/.cache/lapsegan`, one file per program, architecture and
//! compiler. Where nothing can be kept, every run compiles.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use sha2::{Digest, Sha256};

/// Bytes of the digest before the code.
const DIGEST: usize = 32;

/// Returns the name of what is made of these texts.
pub(super) fn key<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text);
    }
    format!("{:x}", digest.finalize())[..24].to_owned()
}

/// Returns the code kept under a key; `None` where there is none, or it is damaged.
pub(super) fn read(key: &str) -> Option<Vec<u8>> {
    read_from(&folder()?, key)
}

/// Keeps code under a key, where that is possible.
pub(super) fn write(key: &str, code: &[u8]) {
    let written = folder().map_or(Ok(()), |folder| write_to(&folder, key, code));
    if let Err(error) = written {
        tracing::info!("compiled kernels are not kept: {error}");
    }
}

fn folder() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join("lapsegan"))
}

fn file(folder: &Path, key: &str) -> PathBuf {
    folder.join(format!("kernels-{key}.cubin"))
}

fn read_from(folder: &Path, key: &str) -> Option<Vec<u8>> {
    let mut bytes = fs::read(file(folder, key)).ok().filter(|bytes| bytes.len() > DIGEST)?;
    let code = bytes.split_off(DIGEST);
    (Sha256::digest(&code)[..] == bytes[..]).then_some(code)
}

fn write_to(folder: &Path, key: &str, code: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let at = file(folder, key);
    // Renamed when it is whole: another run may read it at any time.
    let part = at.with_extension(format!("{}.part", process::id()));
    let written =
        fs::write(&part, [&Sha256::digest(code)[..], code].concat()).and_then(|()| fs::rename(&part, &at));
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_unless_it_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("a/b");
        assert_eq!(read_from(&at, "k"), None);
        write_to(&at, "k", b"machine code").unwrap();
        assert_eq!(read_from(&at, "k").as_deref(), Some(&b"machine code"[..]));
        assert_eq!(fs::read_dir(&at).unwrap().count(), 1);
        for damage in [&b""[..], b"short", &[0; 44]] {
            fs::write(file(&at, "k"), damage).unwrap();
            assert_eq!(read_from(&at, "k"), None);
        }
        write_to(&at, "k", b"again").unwrap();
        assert_eq!(read_from(&at, "k").as_deref(), Some(&b"again"[..]));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_without_traces() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(write_to(&folder.path().join("file/below"), "k", b"code").is_err());
    }

    #[test]
    fn keys_tell_where_a_text_ends() {
        assert_ne!(key(["ab", "c"]), key(["a", "bc"]));
        assert_eq!(key(["a"]).len(), 24);
    }
}
