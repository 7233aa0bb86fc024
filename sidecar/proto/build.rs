//! Compiles the `.proto` files without `protoc`: message types, client and server code, the protobuf JSON mapping, and the
//! descriptor set that server reflection answers from.

use std::error::Error;
use std::path::PathBuf;

use protox::prost::Message as _;

const FILES: [&str; 4] = [
    "tidelog/v1/types.proto",
    "tidelog/v1/log.proto",
    "tidelog/v1/replication.proto",
    "tidelog/v1/admin.proto",
];

/// What no file above imports although answers carry it, packed: reflection has to tell it all the same.
const DETAILS: &str = "google/rpc/error_details.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build.rs");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let encoded = descriptors.encode_to_vec();
    let out_dir = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let told = protox::compile(FILES.into_iter().chain([DETAILS]), ["proto"])?;
    std::fs::write(out_dir.join("tidelog_descriptor.bin"), told.encode_to_vec())?;

    tonic_prost_build::configure()
        .bytes(".")
        .btree_map(".")
        .compile_well_known_types(true)
        .codec_path("crate::codec::EventCodec")
        .extern_path(".google.protobuf", "::pbjson_types")
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .compile_fds(descriptors)?;

    // AppendStreamResponse holds a google.rpc.Status, whose `Any` details have no JSON form without a registry of types.
    pbjson_build::Builder::new()
        .register_descriptors(&encoded)?
        .btree_map(["."])
        .extern_path(".google.protobuf", "::pbjson_types")
        .exclude([".tidelog.v1.AppendStreamResponse"])
        .build(&[".tidelog.v1"])?;
    Ok(())
}
