//! The catalog is embedded in the executable: a file that is added or removed must rebuild it.

fn main() {
    println!("cargo::rerun-if-changed=../scenarios");
    println!("cargo::rerun-if-changed=../manifests");
    println!("cargo::rerun-if-changed=../assets");
}
