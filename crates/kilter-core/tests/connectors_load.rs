//! Every connector and entity in the repository is read without a problem.

use std::fs;
use std::path::{Path, PathBuf};

use kilter_core::entity::Entities;
use kilter_core::manifest::read_connector;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn data_files(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
        .into_iter()
        .filter(|p| p.extension().is_some_and(|e| e == "toml" || e == "graphql"))
        .map(|p| (p.display().to_string(), fs::read_to_string(&p).unwrap()))
        .collect()
}

#[test]
fn every_connector_reads_without_a_problem() {
    let mut count = 0;
    for entry in fs::read_dir(root().join("connectors")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let mut problems = Vec::new();
        let connector = read_connector(&data_files(&folder), &mut problems).unwrap();
        let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "{}", text.join("\n"));
        assert!(!connector.resources.is_empty());
        assert_eq!(Some(connector.name.as_str()), folder.file_name().unwrap().to_str());
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn every_entity_reads_without_a_problem() {
    let files = data_files(&root().join("entities"));
    let mut problems = Vec::new();
    let pairs = files.iter().map(|(f, t)| (f.as_str(), t.as_str()));
    let entities = Entities::read(pairs, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    for entity in entities.0.values() {
        for key in &entity.key {
            assert!(entity.fields.contains_key(key), "{}.{key}", entity.name);
        }
    }
}

/// Either the whole list is said, or what comes and goes: both at once would take out what is not said.
#[test]
fn a_list_that_is_replaced_has_no_word_for_what_leaves() {
    let folder = root().join("connectors");
    let text = |(path, text): (String, String)| {
        let stays = text.replace("leave  = {", "stays  = {");
        (path, text.replace("leave  = {", "leave  = { at = \"gone\" }\nstays  = {"), stays)
    };
    let mut refused = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let files: Vec<_> = data_files(&folder).into_iter().map(text).collect();
        let changed = files.iter().filter(|(_, both, stays)| both != stays).count();
        let told = |files: Vec<(String, String)>| {
            let mut problems = Vec::new();
            read_connector(&files, &mut problems).unwrap();
            let told = problems.iter().map(ToString::to_string);
            told.filter(|p| p.contains("`stays` stands beside")).count()
        };
        let both: Vec<_> =
            files.iter().map(|(path, both, _)| (path.clone(), both.clone())).collect();
        let alone: Vec<_> =
            files.iter().map(|(path, _, one)| (path.clone(), one.clone())).collect();
        assert_eq!((told(both), told(alone)), (changed, 0));
        refused += changed;
    }
    assert!(refused > 0, "some connector says what leaves");
}
