//! What a connector's folder says to the story: how far it is verified, its twin, its faults there.
//!
//! Reads   `connectors/<name>/conformance/`: `story.toml` and `kilter.toml`.   Writes  problems.
//! Never   calls anything.

use std::collections::BTreeMap;
use std::path::Path;

use kilter_core::doc::{Node, Problem, Reader, parse};

type Problems = Vec<Problem>;

/// How far a connector is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// It ran against the platform itself.
    Real,
    /// It ran against a simulator.
    Twin,
    /// It is not finished.
    InWork,
    /// There is no code.
    Planned,
}

impl Verified {
    pub fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Twin => "twin",
            Self::InWork => "in work",
            Self::Planned => "planned",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Real, Self::Twin, Self::InWork, Self::Planned].into_iter().find(|v| v.name() == text)
    }
}

#[derive(Debug, Clone)]
pub struct Tale {
    pub verified: Verified,
    /// What that rests on, in a sentence.
    pub rests_on: String,
    pub twin: Option<Twin>,
    /// The config of a connection to the twin, as a text with `${…}` in it.
    pub config: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Twin {
    pub name: String,
    pub settings: BTreeMap<String, String>,
    /// `${…}` of the config → page of the back office, and a path there.
    pub ids: BTreeMap<String, (String, String)>,
    pub seed: Option<Seed>,
    /// What stands there besides, before anything is read.
    pub before: Vec<Act>,
    pub faults: BTreeMap<String, Act>,
    /// Where the twin cannot be subscribed to: how its back office sends webhooks to `$door`.
    pub webhooks: Option<Act>,
}

/// A page of the back office, and what is posted there.
#[derive(Debug, Clone)]
pub struct Act {
    pub page: String,
    pub body: String,
}

/// Many of one kind, so that a listing has several pages.
#[derive(Debug, Clone)]
pub struct Seed {
    pub resource: String,
    pub act: Act,
    /// One of them: `$n` is its number. All stand where the body says `"$each"`.
    pub each: String,
}

impl Seed {
    pub fn of(&self, count: usize) -> String {
        let all: Vec<String> =
            (1..=count).map(|n| self.each.replace("$n", &format!("{n:05}"))).collect();
        self.act.body.replace("\"$each\"", &all.join(","))
    }
}

/// What the folder says; None: it says nothing.
pub fn read(name: &str, own: &Path, problems: &mut Problems) -> Option<Tale> {
    let files = crate::catalog::conformance(name, own);
    let file = |end: &str| files.iter().find(|(file, _)| file.ends_with(end));
    let (file_name, text) = file("story.toml")?;
    let node = parse(file_name, text, problems);
    let mut reader = Reader::new(file_name, "the story", &node, problems);
    let verified = reader.need_text("verified", problems);
    let verified = Verified::parse(&verified).unwrap_or_else(|| {
        let text = format!("verified is not \"{verified}\"");
        reader.problem(reader.line, text, "known: real, twin, in work, planned", problems);
        Verified::InWork
    });
    let tale = Tale {
        verified,
        rests_on: reader.need_text("rests_on", problems),
        twin: reader.take("twin").map(|node| twin(file_name, node, problems)),
        config: file("kilter.toml").map(|(_, text)| text.clone()),
    };
    reader.finish(problems);
    Some(tale)
}

/// Platforms that are thought of and have no folder: title, and what there is.
pub fn planned(problems: &mut Problems) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for (file, text) in crate::catalog::built_in("") {
        let node = parse(&file, &text, problems);
        let mut reader = Reader::new(&file, "the file of planned platforms", &node, problems);
        for node in reader.list("planned", problems) {
            let mut inner = Reader::new(&file, "planned", node, problems);
            let title = inner.need_text("title", problems);
            out.push((title, inner.need_text("rests_on", problems)));
            inner.finish(problems);
        }
        reader.finish(problems);
    }
    out
}

fn twin(file: &str, node: &Node, problems: &mut Problems) -> Twin {
    let mut reader = Reader::new(file, "twin", node, problems);
    let text = |node: &Node| kilter_core::manifest::plain(&node.to_json());
    let settings = reader.table("settings", problems);
    let settings = settings.into_iter().map(|(k, node)| (k.to_owned(), text(node))).collect();
    let mut ids = BTreeMap::new();
    for (name, node) in reader.table("ids", problems) {
        let mut inner = Reader::new(file, "twin.ids", node, problems);
        let place = (inner.need_text("page", problems), inner.need_text("path", problems));
        ids.insert(name.to_owned(), place);
        inner.finish(problems);
    }
    let mut faults = BTreeMap::new();
    for (name, node) in reader.table("fault", problems) {
        faults.insert(name.to_owned(), act(file, node, problems));
    }
    let before = reader.list("before", problems);
    let before = before.iter().map(|node| act(file, node, problems)).collect();
    let twin = Twin {
        name: reader.need_text("name", problems),
        settings,
        ids,
        seed: reader.take("seed").map(|node| seed(file, node, problems)),
        before,
        faults,
        webhooks: reader.take("webhooks").map(|node| act(file, node, problems)),
    };
    reader.finish(problems);
    twin
}

fn act(file: &str, node: &Node, problems: &mut Problems) -> Act {
    let mut reader = Reader::new(file, "an act of the back office", node, problems);
    let act =
        Act { page: reader.need_text("page", problems), body: reader.need_text("body", problems) };
    reader.finish(problems);
    act
}

fn seed(file: &str, node: &Node, problems: &mut Problems) -> Seed {
    let mut reader = Reader::new(file, "twin.seed", node, problems);
    let seed = Seed {
        resource: reader.need_text("resource", problems),
        act: Act {
            page: reader.need_text("page", problems),
            body: reader.need_text("body", problems),
        },
        each: reader.need_text("each", problems),
    };
    reader.finish(problems);
    seed
}
