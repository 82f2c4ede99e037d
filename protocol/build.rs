//! Generates the blocking ttrpc client (host) and the async server (guest) from `proto/agent.proto` (in Rust: no protoc needed).

use std::error::Error;
use std::fs;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto/agent.proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    ttrpc_codegen::Codegen::new()
        .out_dir(&out)
        .inputs(["proto/agent.proto"])
        .include("proto")
        .rust_protobuf()
        .customize(ttrpc_codegen::Customize { async_server: true, ..Default::default() })
        .run()?;
    // The generated files carry inner attributes, so they must be modules and not textual includes.
    fs::write(out.join("mod.rs"), "pub mod agent;\npub mod agent_ttrpc;\n")?;
    Ok(())
}
