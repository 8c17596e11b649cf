//! Lets every binary find libtorch relative to itself, so that none carries a path of the build machine.

fn main() {
    // Shipped (bin/ beside libtorch/), then target/release/, then target/release/deps/ (tests).
    for up in ["..", "../..", "../../.."] {
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/{up}/libtorch/lib");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
