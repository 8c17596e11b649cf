//! Compiles the fused operations, and lets every binary find libtorch relative to itself, so that none carries a path of
//! the build machine.

use std::path::Path;

fn main() {
    // Shipped (bin/ beside libtorch/), then target/release/, then target/release/deps/ (tests).
    for up in ["..", "../..", "../../.."] {
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/{up}/libtorch/lib");
    }
    println!("cargo:rerun-if-changed=build.rs");
    let libtorch =
        std::env::var("LIBTORCH").expect("LIBTORCH, set by .cargo/config.toml, names the folder of libtorch");
    let libtorch = Path::new(&libtorch);
    graphs(libtorch);
    compile(
        libtorch,
        &[
            "cuda/launch.cpp",
            "graphs/emulated.cpp",
            "model/convolution.cpp",
            "model/fused.cpp",
            "operators.cpp",
            "ops/cpu.cpp",
            "ops/registry.cpp",
            "optim/lists.cpp",
            "transfer.cpp",
        ],
    );
    emulation();
}

/// The kernels of a GPU as C++, which tests run; nothing else has them.
fn emulation() {
    println!("cargo:rerun-if-changed=cuda");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(2).file("cuda/emulate.cpp").include("cuda");
    // Values are read in pieces of 16 bytes, and pragmas are the other compiler's.
    build.flag("-fno-strict-aliasing").flag("-Wno-unknown-pragmas").compile("lapsegan_emulation");
}

/// Compiles against the headers that tch itself is compiled against.
fn compile(libtorch: &Path, sources: &[&str]) {
    for file in sources.iter().chain(&["ops/cpu_loops.h", "ops/ops.h", "handle.h"]) {
        println!("cargo:rerun-if-changed={file}");
    }
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    compiler(libtorch).opt_level(3).files(sources).flag("-fopenmp").compile("lapsegan_compiled");
    println!("cargo:rustc-link-lib=dylib=gomp"); // the OpenMP that libtorch runs on
}

/// Returns the compiler with the headers of libtorch, as system headers, whose warnings are not ours.
fn compiler(libtorch: &Path) -> cc::Build {
    let include = libtorch.join("include");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17");
    // As libtorch was: classes of its headers have more members without.
    build.define("NDEBUG", None);
    for folder in [include.clone(), include.join("torch/csrc/api/include")] {
        build.flag("-isystem").flag(folder);
    }
    build
}

/// Compiles `liblapsegan_cuda.so` from what needs the headers of CUDA, and nothing else of it. It is linked to nothing:
/// the libraries that it calls are open when it is. Where the headers are missing it is an empty file.
fn graphs(libtorch: &Path) {
    const SOURCE: &str = "graphs/graph.cpp";
    println!("cargo:rerun-if-changed={SOURCE}");
    println!("cargo:rerun-if-env-changed=CUDA_HOME");
    let library = Path::new(&std::env::var("OUT_DIR").expect("set by cargo")).join("liblapsegan_cuda.so");
    let home = std::env::var("CUDA_HOME").unwrap_or_else(|_| "/usr/local/cuda".into());
    let places = [libtorch.join("include-cuda"), Path::new(&home).join("include")];
    println!("cargo:rerun-if-changed={}", places[0].display());
    let Some(cuda) = places.iter().find(|place| place.join("crt/host_defines.h").exists()) else {
        println!(
            "cargo:warning=no headers of CUDA in {places:?}: built without CUDA graphs (make setup fetches them)"
        );
        std::fs::write(&library, []).expect("the folder of build products can be written");
        return;
    };
    let mut build = compiler(libtorch);
    build.opt_level(2).flag("-isystem").flag(cuda).pic(true);
    let mut command = build.get_compiler().to_command();
    let status = command.args(["-shared", "-s", SOURCE, "-o"]).arg(&library).status();
    assert!(status.is_ok_and(|status| status.success()), "{SOURCE}: the compiler failed: {command:?}");
}
