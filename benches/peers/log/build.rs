//! Tells the program where the target folder is: plots and, by default, logs are put there.
fn main() {
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    // TARGET/release/build/NAME-HASH/out
    let target = std::path::Path::new(&out).ancestors().nth(4).expect("four levels up");
    println!("cargo::rustc-env=HOLM_TARGET={}", target.display());
    println!("cargo::rerun-if-changed=build.rs");
}
