//! Compiles `proto/` without a system `protoc`.

use std::error::Error;
use std::path::{Path, PathBuf};

#[expect(clippy::disallowed_methods, reason = "Cargo tells a build script its folder this way only")]
fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new("proto");
    let folder = root.join("unifiedgateway/admin/v1");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "proto"));
    files.sort();
    let mut descriptors = protox::Compiler::new([root])?;
    descriptors.include_source_info(true).include_imports(true).open_files(&files)?;
    #[expect(clippy::disallowed_methods, reason = "cargo tells a build script where to write through the environment")]
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("admin_v1_descriptor.bin"), descriptors.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .build_transport(true)
        .btree_map(".")
        .compile_fds(descriptors.file_descriptor_set())?;
    Ok(())
}
