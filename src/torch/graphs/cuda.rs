//! The recorder of a GPU: `graph.cpp` in a library of its own, which the programs carry and open where CUDA is.
//!
//! Unsafe code: opening that library and calling it.
#![allow(unsafe_code)]

use std::error::Error;
use std::ffi::{CStr, c_char, c_void};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};
use std::rc::Rc;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use rustix::fs::{MemfdFlags, memfd_create};

use super::{Graph, Recorder};
use crate::operators;
use crate::panics;
use crate::transfer::without_transfers;

/// The compiled `graph.cpp`; empty where the headers of CUDA were missing when the programs were built.
const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/liblapsegan_cuda.so"));

/// The functions of the library. They do not let exceptions out.
#[derive(Debug)]
struct Functions {
    problem: unsafe extern "C" fn() -> *const c_char,
    recorder: unsafe extern "C" fn(i64) -> *mut c_void,
    recorder_free: unsafe extern "C" fn(*mut c_void),
    begin: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    end: unsafe extern "C" fn(*mut c_void, *mut c_void) -> bool,
    replay: unsafe extern "C" fn(*mut c_void) -> bool,
    free: unsafe extern "C" fn(*mut c_void, *mut c_void),
}

impl Functions {
    /// Opens the library, once libtorch's CUDA half is open.
    fn open() -> Result<Self, String> {
        if LIBRARY.is_empty() {
            return Err(
                "these programs were built without the headers of CUDA (make setup fetches them)".into()
            );
        }
        let library = open(LIBRARY).map_err(|why| format!("liblapsegan_cuda.so: {why}"))?;
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: a function of ours with the signature of the field that it is read into; the library stays open.
                *unsafe { library.get(concat!($name, "\0").as_bytes()) }.map_err(|error| error.to_string())?
            };
        }
        let functions = Self {
            problem: function!("lapsegan_graph_problem"),
            recorder: function!("lapsegan_graph_recorder"),
            recorder_free: function!("lapsegan_graph_recorder_free"),
            begin: function!("lapsegan_graph_begin"),
            end: function!("lapsegan_graph_end"),
            replay: function!("lapsegan_graph_replay"),
            free: function!("lapsegan_graph_free"),
        };
        std::mem::forget(library);
        Ok(functions)
    }

    /// Returns why this thread's last call failed.
    fn why(&self) -> String {
        // SAFETY: a string that ends in 0 and lives until this thread's next failure.
        unsafe { CStr::from_ptr((self.problem)()) }.to_string_lossy().into_owned()
    }
}

/// Opens a library out of memory, so that programs need no file beside them.
fn open(bytes: &[u8]) -> Result<Library, String> {
    let file = memfd_create("liblapsegan_cuda.so", MemfdFlags::CLOEXEC).map_err(|error| error.to_string())?;
    let mut file = std::fs::File::from(file);
    file.write_all(bytes).map_err(|error| error.to_string())?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // SAFETY: a library of ours, without initialisers of its own.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
        // The loader's own words are below.
        .map_err(|error| error.source().map_or_else(|| error.to_string(), ToString::to_string))
}

/// Records what a thread asks of a GPU.
///
/// While it lives, the thread that made it works on a stream of its own: make it before anything is put on the device that
/// is then used on this thread.
#[derive(Debug)]
pub struct CudaRecorder(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    functions: Functions,
    recorder: *mut c_void,
}

impl CudaRecorder {
    /// Makes the recorder of a GPU for this thread.
    ///
    /// # Errors
    /// What is missing.
    pub fn new(index: usize) -> Result<Self, String> {
        let functions = Functions::open()?;
        // SAFETY: the library is open.
        let recorder = unsafe { (functions.recorder)(index as i64) };
        if recorder.is_null() {
            Err(functions.why())
        } else {
            Ok(Self(Rc::new(Shared { functions, recorder })))
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: made by `recorder`, and freed once.
        unsafe { (self.functions.recorder_free)(self.recorder) };
    }
}

impl Recorder for CudaRecorder {
    fn record(&self, work: &mut dyn FnMut()) -> Result<Box<dyn Graph>, String> {
        let Shared { functions, recorder } = &*self.0;
        // SAFETY: the recorder lives; the graph is freed with `Recorded`.
        let graph = unsafe { (functions.begin)(*recorder) };
        if graph.is_null() {
            return Err(functions.why());
        }
        let recorded = Recorded { shared: Rc::clone(&self.0), graph };
        // What cannot be recorded makes libtorch's bindings panic, which is none for the user.
        let hook = take_hook();
        set_hook(Box::new(|_| ()));
        let (done, operators) =
            operators::record(|| catch_unwind(AssertUnwindSafe(|| without_transfers(work))));
        set_hook(hook);
        // SAFETY: the recording was begun, and has to end whatever happened.
        let ended = unsafe { (functions.end)(*recorder, graph) };
        match done {
            Ok(()) if ended => Ok(Box::new(recorded)),
            Ok(()) => Err(functions.why()),
            Err(panic) => {
                let Some(message) = panics::message(&*panic).map(str::to_owned) else { resume_unwind(panic) };
                let at = operators.last().map_or("its first operator", |operator| &operator.name);
                Err(format!("at {at}: {}", message.lines().next().unwrap_or_default()))
            }
        }
    }
}

#[derive(Debug)]
struct Recorded {
    shared: Rc<Shared>,
    graph: *mut c_void,
}

impl Graph for Recorded {
    fn replay(&self) -> Result<(), String> {
        // SAFETY: the graph lives, and was recorded to its end.
        let done = unsafe { (self.shared.functions.replay)(self.graph) };
        done.then_some(()).ok_or_else(|| self.shared.functions.why())
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        // SAFETY: made by `begin`, and freed once, while its recorder lives.
        unsafe { (self.shared.functions.free)(self.shared.recorder, self.graph) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_cuda_the_library_says_what_is_missing() {
        // Built in, and refused by the loader: its symbols are those of libtorch_cuda.
        assert!(!LIBRARY.is_empty(), "built without the headers of CUDA: make setup");
        let missing = if crate::cli::device::open_cuda().is_ok() { "driver" } else { "undefined symbol" };
        if !tch::Cuda::is_available() {
            let problem = CudaRecorder::new(0).unwrap_err();
            assert!(problem.contains(missing), "{problem}");
        }
    }
}
