//! The bill of materials: made by its command, twice the same, and true to the program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn sbom() -> Vec<u8> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sbom");
    let output = Command::new(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn bill_of_materials_names_what_is_linked_in() {
    let text = sbom();
    assert_eq!(text, sbom(), "the same sources give the same text");
    let bom: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(bom["bomFormat"], "CycloneDX");
    assert_eq!(bom["metadata"]["component"]["version"], env!("CARGO_PKG_VERSION"));

    let components = bom["components"].as_array().unwrap();
    let field = |component: &Value, name: &str| component[name].as_str().unwrap().to_owned();
    let versions: BTreeMap<String, String> = components
        .iter()
        .filter(|component| component["scope"] == "required")
        .map(|component| (field(component, "name"), field(component, "version")))
        .collect();
    // As the libraries themselves say, which these tests are linked with.
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    assert_eq!(versions["librdkafka"], librdkafka);
    assert_eq!(versions["zstd"], zstd::zstd_safe::version_string());
    for name in ["openssl", "zlib", "lz4", "nanopb", "rdkafka", "sled", "tokio", "zlib-rs"] {
        assert!(versions.contains_key(name), "{name} is not in {versions:?}");
    }
    // What only tests and builds need is not linked in.
    for name in ["insta", "jsonschema", "proptest", "serde_derive", "cc", "openssl-src"] {
        assert!(!versions.contains_key(name), "{name} is no part of the program");
    }
    let depends = |name: &str| -> Vec<String> {
        let all = bom["dependencies"].as_array().unwrap();
        let of = all.iter().find(|of| field(of, "ref").starts_with(name)).unwrap();
        let on = of["dependsOn"].as_array().unwrap();
        on.iter().map(|reference| reference.as_str().unwrap().to_owned()).collect()
    };
    let direct = depends("pkg:cargo/kubetell@");
    assert!(direct.iter().any(|reference| reference.starts_with("pkg:cargo/rdkafka@")));
    let below = depends("pkg:cargo/rdkafka-sys@");
    assert!(below.iter().any(|reference| reference.starts_with("pkg:github/confluentinc/")));
}
