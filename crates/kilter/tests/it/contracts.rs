//! Contracts: what connectors send by GraphQL is valid against the vendor's own schemas.
//!
//! Reads   `../shared/schemas/<connector>/*.graphql.gz`, each version that is there.   Writes  nothing.
//! Never   passes in silence where the schemas are absent: it says that it was skipped.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A connector that sends documents: its name, its folder, the vendor's schemas, oldest first.
struct Contract {
    name: String,
    documents: usize,
    schemas: Vec<PathBuf>,
}

fn ending(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let mut found: Vec<PathBuf> =
        entries.filter(|p| p.to_str().is_some_and(|p| p.ends_with(end))).collect();
    found.sort();
    found
}

fn contracts() -> Vec<Contract> {
    let shared = std::env::var_os("KILTER_SHARED").map(PathBuf::from);
    let schemas = shared.unwrap_or_else(|| root().join("../shared")).join("schemas");
    let mut out = Vec::new();
    for entry in std::fs::read_dir(root().join("connectors")).unwrap().map(Result::unwrap) {
        let documents = ending(&entry.path(), ".graphql").len();
        if documents == 0 {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let own = schemas.join(&name);
        let found = ending(&own, ".graphql.gz");
        if found.is_empty() {
            println!("skipped: {name}: the vendor's schemas are not at {}", own.display());
            continue;
        }
        out.push(Contract { name, documents, schemas: found });
    }
    out
}

/// Exit code and what was said.
fn check(name: &str, folder: &Path, schema: &Path) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kilter"));
    command.args(["connector", "check", name, "--folder"]).arg(folder);
    let out = command.arg("--against").arg(schema).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    (out.status.code().unwrap(), text + &String::from_utf8_lossy(&out.stderr))
}

#[test]
fn every_document_and_request_is_valid_against_every_version_of_the_schema() {
    for contract in contracts() {
        let Contract { name, documents, schemas } = contract;
        for schema in schemas {
            let (code, said) = check(&name, &root().join("connectors"), &schema);
            assert_eq!(code, 0, "{name} against {}:\n{said}", schema.display());
            // All of them were looked at, and requests as well.
            assert!(said.contains(&format!("{documents} documents and ")), "{said}");
            assert!(!said.contains(" and 0 requests"), "{said}");
        }
    }
}

/// A copy of a connector with one document changed, checked against the newest schema.
fn bent(contract: &Contract, mark: &str, bend: impl Fn(&str) -> String) -> (i32, String) {
    let folder =
        std::env::temp_dir().join(format!("kilter-contract-{}-{mark}", std::process::id()));
    let own = folder.join(&contract.name);
    std::fs::create_dir_all(own.join("cases")).unwrap();
    let from = root().join("connectors").join(&contract.name);
    for (under, end) in [("", ".toml"), ("", ".graphql"), ("cases", ".toml")] {
        for path in ending(&from.join(under), end) {
            std::fs::copy(&path, own.join(under).join(path.file_name().unwrap())).unwrap();
        }
    }
    let document = &ending(&own, ".graphql")[0];
    let text = std::fs::read_to_string(document).unwrap();
    std::fs::write(document, bend(&text)).unwrap();
    let said = check(&contract.name, &folder, contract.schemas.last().unwrap());
    std::fs::remove_dir_all(&folder).unwrap();
    said
}

#[test]
fn a_document_with_an_unknown_field_is_refused() {
    for contract in contracts() {
        // The last brace but one closes what the operation's field selects.
        let unknown = |text: &str| {
            let outer = text.rfind('}').unwrap();
            let inner = text[..outer].rfind('}').unwrap();
            format!("{} thisIsNoField {}", &text[..inner], &text[inner..])
        };
        let (code, said) = bent(&contract, "field", unknown);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("thisIsNoField"), "{said}");
        let (code, said) = bent(&contract, "same", str::to_owned);
        assert_eq!(code, 0, "an unchanged copy is refused: {said}");
    }
}
