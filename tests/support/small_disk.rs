//! A file system that is soon full.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A small file system in memory, unmounted when dropped.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts one; `None` where this machine does not let us, and says so.
    pub(crate) fn mount(kib: u64) -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let mounted = disk.call("size", kib);
        if !mounted {
            eprintln!("skipped: this machine does not let us mount a small file system");
        }
        mounted.then_some(disk)
    }

    /// Gives it another size; the files stay.
    pub(crate) fn resize(&self, kib: u64) {
        assert!(self.call("remount,size", kib), "the file system was mounted, but cannot be resized");
    }

    /// Returns its root.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn call(&self, option: &str, kib: u64) -> bool {
        let options = format!("{option}={kib}k");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(self.path()).output();
        mount.is_ok_and(|output| output.status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).output();
    }
}
