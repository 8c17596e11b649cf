//! How much memory this process may still take, so that sizes from files and flags are checked before it is taken.

use std::fs;
use std::path::Path;

/// Returns the bytes that are left: those of the machine, of the control group, and of the process's own limit on its
/// address space. `None` where the system does not tell.
pub fn available() -> Option<u64> {
    [machine(), group(), address_space()].into_iter().flatten().min()
}

/// `MemAvailable` of the machine.
fn machine() -> Option<u64> {
    kib(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// What the control groups leave, as in containers and Slurm jobs. The limit may be that of a group further up.
fn group() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let left = |group: &Path| {
        let folder = Path::new("/sys/fs/cgroup").join(group);
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
        Some(read("memory.max")?.saturating_sub(read("memory.current").unwrap_or(0)))
    };
    Path::new(path.trim_start_matches('/')).ancestors().filter_map(left).min()
}

/// What `ulimit -v` leaves.
fn address_space() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max address space"))?;
    let soft: u64 = line.split_whitespace().nth(3)?.parse().ok()?;
    let taken = kib(&fs::read_to_string("/proc/self/status").ok()?, "VmSize:")?;
    Some(soft.saturating_sub(taken))
}

fn kib(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(field))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()?.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_kib() {
        let text = "MemTotal:  100 kB\nMemAvailable:   3 kB\nVmSize: x kB\n";
        assert_eq!(kib(text, "MemAvailable:"), Some(3072));
        assert_eq!(kib(text, "VmSize:"), None);
        assert_eq!(kib(text, "Nothing:"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_tells_how_much_is_left() {
        assert!(available().unwrap() > 1 << 20);
    }
}
