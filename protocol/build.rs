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
    // They have no unsafe code to allow, and the crate forbids it.
    for name in ["agent.rs", "agent_ttrpc.rs"] {
        let code = fs::read_to_string(out.join(name))?;
        fs::write(out.join(name), code.replace("#![allow(unsafe_code)]\n", ""))?;
    }
    fs::write(out.join("mod.rs"), "pub mod agent;\npub mod agent_ttrpc;\n")?;
    Ok(())
}
