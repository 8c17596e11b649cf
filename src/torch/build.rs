//! Compiles the fused operations, and lets every binary find libtorch relative to itself, so that none carries a path of
//! the build machine.

fn main() {
    // Shipped (bin/ beside libtorch/), then target/release/, then target/release/deps/ (tests).
    for up in ["..", "../..", "../../.."] {
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/{up}/libtorch/lib");
    }
    println!("cargo:rerun-if-changed=build.rs");
    compile(&[
        "cuda/launch.cpp",
        "model/convolution.cpp",
        "model/fused.cpp",
        "operators.cpp",
        "ops/cpu.cpp",
        "ops/registry.cpp",
        "optim/lists.cpp",
        "transfer.cpp",
    ]);
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
fn compile(sources: &[&str]) {
    for file in sources.iter().chain(&["ops/cpu_loops.h", "ops/ops.h", "handle.h"]) {
        println!("cargo:rerun-if-changed={file}");
    }
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let libtorch =
        std::env::var("LIBTORCH").expect("LIBTORCH, set by .cargo/config.toml, names the folder of libtorch");
    let include = std::path::Path::new(&libtorch).join("include");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(3).files(sources);
    // As libtorch was: classes of its headers have more members without.
    build.define("NDEBUG", None);
    // As system headers, whose warnings are not ours.
    for folder in [include.clone(), include.join("torch/csrc/api/include")] {
        build.flag("-isystem").flag(folder);
    }
    build.flag("-fopenmp").compile("lapsegan_compiled");
    println!("cargo:rustc-link-lib=dylib=gomp"); // the OpenMP that libtorch runs on
}
