//! The fused kernels of a GPU: compiled at start for the GPU that is there, kept in the user's cache, and launched by
//! `launch.cpp` for the operators of `ops/`.
//!
//! Nothing of CUDA is needed to build, or to run on a CPU: libraries are opened where they are there. Where anything is
//! missing, a line in the log says what, and `model/fused.rs` serves the GPU with plain operations of libtorch.

mod cache;
mod module;
mod nvrtc;

#[cfg(test)]
pub(crate) mod emulation;

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::driver;
use crate::panics;

/// The program's files besides `kernels.cu`, by the names that it includes.
const PARTS: [(&str, &str); 5] = [
    ("common.cu", include_str!("common.cu")),
    ("epilogue.cu", include_str!("epilogue.cu")),
    ("flat.cu", include_str!("flat.cu")),
    ("project.cu", include_str!("project.cu")),
    ("resample.cu", include_str!("resample.cu")),
];
const PROGRAM: &str = include_str!("kernels.cu");

/// The GPU that the kernels are loaded on.
static LOADED: OnceLock<usize> = OnceLock::new();

/// Whether they are used.
static TRUSTED: AtomicBool = AtomicBool::new(true);

/// Compiles and loads the kernels for a GPU, unless `LAPSEGAN_FUSED` is `off`. Takes seconds once per version and kind of
/// GPU, as the compiled form is kept. `check` says whether they compute what they should, else they are not used.
pub fn start(index: usize, check: impl FnOnce() -> Result<(), String>) {
    if std::env::var_os("LAPSEGAN_FUSED").is_some_and(|value| value == "off") {
        tracing::info!("fused kernels are switched off by LAPSEGAN_FUSED");
    } else if let Err(reason) = load(index).and_then(|()| checked(check)) {
        TRUSTED.store(false, Ordering::Relaxed);
        tracing::warn!("plain operations instead of fused kernels: {reason}");
    }
}

/// Runs a check. A kernel that the GPU refuses panics, as every operation that fails does.
fn checked(check: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    let hook = take_hook();
    set_hook(Box::new(|_| ()));
    let result = catch_unwind(AssertUnwindSafe(check));
    set_hook(hook);
    result.unwrap_or_else(|panic| {
        let message = panics::message(&*panic).unwrap_or("the GPU refuses a kernel");
        Err(message.lines().next().unwrap_or_default().to_owned())
    })
}

/// Returns whether the kernels are loaded on a GPU, and right.
pub(crate) fn is_loaded(index: usize) -> bool {
    LOADED.get() == Some(&index) && TRUSTED.load(Ordering::Relaxed)
}

fn load(index: usize) -> Result<(), String> {
    if is_loaded(index) {
        return Ok(());
    }
    let capability = driver::capability(index).ok_or("the driver does not tell the GPU's generation")?;
    let architecture = architecture(capability);
    let compiler = nvrtc::Compiler::open()?;
    let compile = || {
        let begun = std::time::Instant::now();
        let code = compiler.compile(PROGRAM, &PARTS, &architecture)?;
        let seconds = begun.elapsed().as_secs_f64();
        tracing::info!(architecture, seconds, "fused kernels compiled");
        Ok::<_, String>(code)
    };
    let texts = PARTS.iter().map(|(_, text)| *text);
    let key = cache::key(texts.chain([PROGRAM, &architecture, compiler.version()]));
    let loaded = cache::read(&key).is_some_and(|code| module::load(index, &code).is_ok());
    if !loaded {
        let code = compile()?;
        module::load(index, &code)?;
        cache::write(&key, &code);
    }
    LOADED.set(index).map_err(|_| "another GPU's kernels are loaded".to_owned())
}

/// Returns the compiler's name for GPUs of a compute capability: with all that this generation alone has, where it has.
fn architecture([major, minor]: [i32; 2]) -> String {
    let own = if (major, minor) == (9, 0) { "a" } else { "" };
    format!("sm_{major}{minor}{own}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_are_named_as_the_compiler_does() {
        assert_eq!(
            [[8, 0], [9, 0], [10, 0], [12, 1]].map(architecture),
            ["sm_80", "sm_90a", "sm_100", "sm_121"]
        );
    }

    #[test]
    fn a_check_that_panics_is_one_that_fails() {
        assert_eq!(checked(|| Ok(())), Ok(()));
        assert_eq!(checked(|| panic!("refused: {}", 1)), Err("refused: 1".into()));
    }

    #[test]
    fn the_program_includes_what_it_is_given() {
        for (name, _) in PARTS {
            assert!(PROGRAM.contains(&format!("#include \"{name}\"")), "{name}");
        }
        assert_eq!(PROGRAM.matches("#include").count(), PARTS.len());
    }

    #[test]
    fn kernels_are_loaded_or_it_is_said_what_is_missing() {
        match load(0) {
            Ok(()) => assert!(is_loaded(0)),
            Err(reason) => {
                let known = ["driver", "libnvrtc", "libtorch_cuda", "CUDA error"];
                assert!(known.iter().any(|word| reason.contains(word)), "{reason}");
                assert!(!is_loaded(0));
            }
        }
    }
}
