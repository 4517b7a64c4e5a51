//! Conformance: one story for all connectors, the same code for each, told by their data.
//!
//! Reads   a connector's folder.   Writes  a report, a line a step.
//! Never   knows a connector by its name; a step that the data has no part for is skipped, and said.
//!
//! | step                            | asks for                                    |
//! |---------------------------------|---------------------------------------------|
//! | reads page by page              | a listing                                   |
//! | creates                         | creates of variants or of orders            |
//! | changes one field               | an update of a title or a barcode           |
//! | sent twice, it stands there once| the fault `lost` of its twin                |
//! | throttled, it waits             | the fault `throttled` of its twin           |
//! | loses its token                 | credentials                                 |
//! | webhooks                        | a webhook's signature                       |
//! | archives                        | a write of the kind `archive`               |

pub mod able;
pub mod data;
mod door;
mod house;
pub mod matrix;
mod scene;
mod steps;

use std::path::{Path, PathBuf};

use kilter_core::manifest::Connector;
use serde::Serialize;

use scene::{Scene, Where};
use steps::Story;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    Ok,
    Skipped,
    Failed,
}

#[derive(Debug, Clone, Serialize)]
pub struct Step {
    pub name: &'static str,
    pub end: End,
    pub why: String,
}

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub steps: Vec<Step>,
}

impl Report {
    pub fn count(&self, end: End) -> usize {
        self.steps.iter().filter(|s| s.end == end).count()
    }
}

/// What is told against.
#[derive(Debug, Default)]
pub struct Against {
    pub url: Option<String>,
    pub config: Option<(PathBuf, String)>,
}

/// How a step goes well.
enum Told {
    Ok(String),
    Skipped(String),
}

const STEPS: [&str; 8] = [
    "reads page by page",
    "creates",
    "changes one field",
    "sent twice, it stands there once",
    "throttled, it waits",
    "loses its token",
    "webhooks",
    "archives",
];

/// Tells the story. Err: the folder cannot be read, or what it is told against does not start.
pub async fn tell(
    name: &str,
    own: &Path,
    connector: Connector,
    against: &Against,
) -> anyhow::Result<Report> {
    let mut problems = Vec::new();
    let tale = data::read(name, own, &mut problems);
    let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    anyhow::ensure!(problems.is_empty(), "read what {name} says of itself:\n{}", text.join("\n"));
    let twin = tale.as_ref().and_then(|t| Some((t, t.twin.as_ref()?)));
    let place = match (against, &tale, twin) {
        (Against { config: Some((file, connection)), .. }, ..) => Where::Config(file, connection),
        (Against { url: Some(url), .. }, Some(tale), _) => Where::Url(tale, url),
        (Against { url: Some(_), .. }, None, _) => {
            anyhow::bail!("tell the story by an address: {name} has no conformance/kilter.toml")
        }
        (_, _, Some((tale, twin))) => Where::Twin(tale, twin),
        _ => return Ok(untold(&format!("no twin of {name}; give --against and --connection"))),
    };
    let seed = match &place {
        Where::Twin(_, twin) => twin.seed.clone(),
        _ => None,
    };
    let seeded = |connector: &Connector| {
        let resource = seed.as_ref().and_then(|s| connector.resource(&s.resource));
        let size = resource.and_then(|r| r.list.as_ref()?.page.size()).unwrap_or(1);
        2 * size + 1
    };
    let count = std::cell::Cell::new(0);
    let scene = Scene::set(&place, connector, |c| {
        count.set(seeded(c));
        count.get()
    });
    let scene = scene.await?;
    let seeded = seed.map(|s| (s.resource, count.get()));
    Ok(run(Story::new(scene, seeded)).await)
}

async fn run(mut story: Story) -> Report {
    let mut report = Report::default();
    for name in STEPS {
        let told = match name {
            "reads page by page" => story.reads().await,
            "creates" => story.creates().await,
            "changes one field" => story.changes().await,
            "sent twice, it stands there once" => story.sends_twice().await,
            "throttled, it waits" => story.is_throttled().await,
            "loses its token" => story.loses_its_token().await,
            "webhooks" => story.webhooks().await,
            _ => story.archives().await,
        };
        let (end, why) = match told {
            Ok(Told::Ok(why)) => (End::Ok, why),
            Ok(Told::Skipped(why)) => (End::Skipped, why),
            Err(error) => (End::Failed, format!("{error:#}")),
        };
        report.steps.push(Step { name, end, why });
    }
    report
}

fn untold(why: &str) -> Report {
    let step = |name| Step { name, end: End::Skipped, why: why.to_owned() };
    Report { steps: STEPS.into_iter().map(step).collect() }
}
