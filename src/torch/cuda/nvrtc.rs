//! NVIDIA's run-time compiler, which comes with a CUDA libtorch.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::PathBuf;
use std::ptr;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

/// The compiler's functions are looked up by name; these are their documented signatures.
type Program = *mut c_void;
type Create = unsafe extern "C" fn(
    *mut Program,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
    *const *const c_char,
) -> c_int;
type Compile = unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int;
type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Take = unsafe extern "C" fn(Program, *mut c_char) -> c_int;
type Destroy = unsafe extern "C" fn(*mut Program) -> c_int;
type Version = unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int;

/// The compiler, open until the process ends.
pub(super) struct Compiler {
    library: Library,
    version: String,
}

impl Compiler {
    /// Opens the compiler on the library path, or beside libtorch.
    pub(super) fn open() -> Result<Self, String> {
        // Libtorch's door to the compiler knows where it is: what it needs is found by its name from then on.
        if let Some(door) = open("libcaffe2_nvrtc.so") {
            std::mem::forget(door);
        }
        let library = ["libnvrtc.so.13", "libnvrtc.so.12"].iter().find_map(|name| open(name));
        let library =
            library.or_else(beside_libtorch).ok_or("no libnvrtc.so.13 or libnvrtc.so.12 is found")?;
        let (mut major, mut minor) = (0, 0);
        // SAFETY: the numbers written are ours.
        let code = unsafe { get::<Version>(&library, "nvrtcVersion")?(&raw mut major, &raw mut minor) };
        if code != 0 {
            return Err(format!("nvrtcVersion: error {code}"));
        }
        Ok(Self { library, version: format!("{major}.{minor}") })
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Returns the machine code of a program that includes `parts` by their names.
    pub(super) fn compile(
        &self,
        text: &str,
        parts: &[(&str, &str)],
        architecture: &str,
    ) -> Result<Vec<u8>, String> {
        let strings = |texts: &[&str]| -> Vec<CString> {
            texts.iter().map(|text| CString::new(*text).expect("sources have no zeros")).collect()
        };
        let pointers =
            |texts: &[CString]| -> Vec<*const c_char> { texts.iter().map(|t| t.as_ptr()).collect() };
        let names = strings(&parts.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        let texts = strings(&parts.iter().map(|(_, text)| *text).collect::<Vec<_>>());
        let source = strings(&[text, "kernels.cu"]);
        let options = strings(&[&format!("--gpu-architecture={architecture}"), "--std=c++17"]);
        let (names, texts, options) = (pointers(&names), pointers(&texts), (pointers(&options), options));
        let mut program: Program = ptr::null_mut();
        // SAFETY: strings and lists live as long as the program, which is destroyed at the end; buffers are as large as asked.
        unsafe {
            let create = get::<Create>(&self.library, "nvrtcCreateProgram")?;
            let destroy = get::<Destroy>(&self.library, "nvrtcDestroyProgram")?;
            let compile = get::<Compile>(&self.library, "nvrtcCompileProgram")?;
            let code = create(
                &raw mut program,
                source[0].as_ptr(),
                source[1].as_ptr(),
                parts.len() as c_int,
                texts.as_ptr(),
                names.as_ptr(),
            );
            if code != 0 {
                return Err(format!("nvrtcCreateProgram: error {code}"));
            }
            let code = compile(program, options.0.len() as c_int, options.0.as_ptr());
            let result = if code == 0 {
                self.taken(program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN")
            } else {
                let log =
                    self.taken(program, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog").unwrap_or_default();
                let log = String::from_utf8_lossy(&log);
                let first = log.lines().next().unwrap_or_default().trim_end_matches('\0');
                Err(format!("NVRTC {} for {architecture}: error {code} {first}", self.version))
            };
            destroy(&raw mut program);
            result
        }
    }

    /// Returns what a program has of a kind.
    unsafe fn taken(&self, program: Program, size: &str, take: &str) -> Result<Vec<u8>, String> {
        let mut bytes = 0;
        // SAFETY: the buffer is as large as the compiler says.
        unsafe {
            let code = get::<Size>(&self.library, size)?(program, &raw mut bytes);
            let mut buffer = vec![0_u8; bytes];
            let code = code | get::<Take>(&self.library, take)?(program, buffer.as_mut_ptr().cast());
            if code == 0 { Ok(buffer) } else { Err(format!("{take}: error {code}")) }
        }
    }
}

fn open(name: &str) -> Option<Library> {
    // SAFETY: a library of NVIDIA or libtorch, opened for its functions only.
    unsafe { Library::open(Some(name), RTLD_NOW | RTLD_GLOBAL) }.ok()
}

/// Opens the compiler among the packages that lie beside libtorch, or in its own folder.
fn beside_libtorch() -> Option<Library> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let libtorch = maps.lines().filter_map(|line| line.split_whitespace().last());
    let libtorch = PathBuf::from(libtorch.into_iter().find(|path| path.ends_with("/libtorch_cuda.so"))?);
    let own = libtorch.parent()?;
    let packages = own.join("../../nvidia");
    let folders = [own.to_path_buf(), packages.join("cu13/lib"), packages.join("cuda_nvrtc/lib")];
    folders.iter().find_map(|folder| {
        // It opens this by name.
        for builtins in ["libnvrtc-builtins.so.13.0", "libnvrtc-builtins.so.12.8"] {
            if let Some(library) = open(folder.join(builtins).to_str()?) {
                std::mem::forget(library);
            }
        }
        ["libnvrtc.so.13", "libnvrtc.so.12"].iter().find_map(|name| open(folder.join(name).to_str()?))
    })
}

/// Returns a function of a library.
pub(super) fn get<T: Copy>(library: &Library, name: &str) -> Result<T, String> {
    // SAFETY: every name is asked for with its documented signature.
    unsafe { library.get::<T>(name.as_bytes()) }
        .map(|symbol| *symbol)
        .map_err(|_| format!("{name} is not there"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_compiled_and_a_wrong_one_explained() {
        // Where a compiler is on the library path.
        let Ok(compiler) = Compiler::open() else { return };
        let code = compiler.compile(super::super::PROGRAM, &super::super::PARTS, "sm_90a").unwrap();
        assert_eq!(code[..4], *b"\x7fELF");
        let problem =
            compiler.compile("#include \"common.cu\"\nwrong;", &super::super::PARTS, "sm_90a").unwrap_err();
        assert!(problem.contains("kernels.cu(2)"), "{problem}");
        assert!(compiler.compile("", &[], "sm_1").unwrap_err().contains("sm_1"));
    }
}
