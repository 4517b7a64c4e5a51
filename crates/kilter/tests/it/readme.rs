//! README.md says of the platforms what the connectors' data says.
//!
//! Reads   README.md and what `kilter connector list --markdown` prints.   Writes  nothing.

use std::path::Path;
use std::process::Command;

const BEGIN: &str = "<!-- platforms: as `kilter connector list --markdown` prints them -->\n";
const END: &str = "<!-- end of platforms -->";

#[test]
fn the_tables_of_platforms_are_those_of_the_connectors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let (_, rest) = readme.split_once(BEGIN).expect("README.md has the mark of the tables");
    let (stands, _) = rest.split_once(END).expect("README.md has the mark of the tables' end");
    // A folder of its own: what a merchant has is not in README.md.
    let mut command = Command::new(env!("CARGO_BIN_EXE_kilter"));
    let out = command.args(["connector", "list", "--markdown", "--folder", "none"]).output();
    let out = out.unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let told = String::from_utf8(out.stdout).unwrap();
    assert!(
        stands == told,
        "put what `kilter connector list --markdown` prints between the marks:\n{told}"
    );
}
