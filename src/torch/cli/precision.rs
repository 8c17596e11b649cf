//! Which arithmetic a device is fast in.

use std::fs;
use std::path::Path;

use lapsegan_core::cli::Failure;
use tch::Device;

use crate::driver;
use crate::model::Precision;

/// First compute capability with units for bfloat16 (Ampere).
const FIRST_CAPABILITY: i32 = 8;

/// Flags of `/proc/cpuinfo` that say that a CPU multiplies bfloat16 matrices: AMX and AVX-512 (x86), and Arm's.
const CPU_FLAGS: [&str; 3] = ["amx_bf16", "avx512_bf16", "bf16"];

/// Returns the arithmetic that a run was begun with, by its config.toml; `None` where there is no such file or none is named.
///
/// A run that goes on keeps it, whatever `auto` would be on the machine it goes on with.
pub fn of_run(folder: &Path) -> Option<Precision> {
    let settings: toml::Table = fs::read_to_string(folder.join("config.toml")).ok()?.parse().ok()?;
    let precision = settings.get("model")?.get("precision")?.clone();
    precision.try_into().ok().filter(|precision| *precision != Precision::Auto)
}

/// Returns the arithmetic to use, with `auto` decided.
///
/// bfloat16 on a CPU without instructions for it is computed by conversion, 13 times slower than float32.
///
/// # Errors
/// Wrong usage for bfloat16 on such a CPU, unless `allow_slow`.
pub fn resolve(wanted: Precision, device: Device, allow_slow: bool) -> Result<Precision, Failure> {
    decide(wanted, has_bfloat16(device), allow_slow || device != Device::Cpu)
}

fn decide(wanted: Precision, fast: bool, allow_slow: bool) -> Result<Precision, Failure> {
    match wanted {
        Precision::Auto if fast => Ok(Precision::Bfloat16),
        Precision::Auto => Ok(Precision::Float32),
        Precision::Bfloat16 if !fast && !allow_slow => Err(Failure::usage(
            "precision bfloat16: this CPU has no instructions for it (AMX or AVX512-BF16), it would be many times slower than \
             float32",
            "take precision float32, or auto, which chooses what is fast; --allow-slow-bfloat16 goes on nevertheless",
        )),
        other => Ok(other),
    }
}

fn has_bfloat16(device: Device) -> bool {
    match device {
        Device::Cuda(index) => {
            driver::compute_capability(index).is_some_and(|major| major >= FIRST_CAPABILITY)
        }
        _ => fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| cpu_has_bfloat16(&text)),
    }
}

fn cpu_has_bfloat16(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags") || line.starts_with("Features"));
    flags.is_some_and(|line| line.split_whitespace().any(|flag| CPU_FLAGS.contains(&flag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_bfloat16_is_refused_unless_allowed_and_auto_takes_what_is_fast() {
        use Precision::{Auto, Bfloat16, Float32};
        for fast in [false, true] {
            assert_eq!(decide(Float32, fast, false).unwrap(), Float32);
            assert_eq!(decide(Auto, fast, false).unwrap(), if fast { Bfloat16 } else { Float32 });
            assert_eq!(decide(Bfloat16, fast, true).unwrap(), Bfloat16);
        }
        assert_eq!(decide(Bfloat16, true, false).unwrap(), Bfloat16);
        let refused = decide(Bfloat16, false, false).unwrap_err();
        assert!(refused.hint.is_some_and(|hint| hint.contains("float32")));
    }

    #[test]
    fn what_auto_was_is_read_from_the_run() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(of_run(dir.path()), None);
        for (text, expected) in [
            ("[model]\nprecision = \"bfloat16\"\n", Some(Precision::Bfloat16)),
            ("[model]\nprecision = \"auto\"\n", None),
            ("[model]\nprecision = 3\n", None),
            ("[model\n", None),
        ] {
            fs::write(dir.path().join("config.toml"), text).unwrap();
            assert_eq!(of_run(dir.path()), expected, "{text}");
        }
    }

    #[test]
    fn flags_of_processors_are_read_whole() {
        assert!(cpu_has_bfloat16("processor : 0\nflags : fpu avx512_bf16 sse\n"));
        assert!(cpu_has_bfloat16("Features : fp asimd bf16\n"));
        assert!(!cpu_has_bfloat16("model name : amx_bf16\nflags : fpu avx2 avx512_bf16x\n"));
        assert!(!cpu_has_bfloat16(""));
    }
}
