//! Scene: the twin, an engine in memory, what the source says, and what the remote shows.
//!
//! Reads   the remote's raw listings and the twin's back office; the store's faults and waits.
//! Writes  what the source says, appended as a page; faults and seeds of the twin.
//! Never   judges by the shadow what stands in the remote: it is listed again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use kilter_core::Json;
use kilter_core::manifest::{Connector, List, Resource};
use kilter_core::mapping::Env;
use kilter_core::model::{Via, WaitKind};
use kilter_core::sync::house::View;
use kilter_core::sync::project::{Projected, project};
use kilter_twin::{Options, Running};
use serde_json::json;
use tokio::time::Instant;

use super::able::Able;
use super::data::{Act, Tale, Twin};
use super::house::{Plot, SOURCE, hurried};
use crate::engine::{Engine, now};
use crate::pipeline::receive::{self, Source};
use crate::pipeline::schedule::{self, Event};
use crate::pipeline::{pages, poll};
use crate::remote::plain;
use crate::store::Store;

/// What is told of: the twin of a connector, or a system of the merchant's.
pub enum Where<'a> {
    Twin(&'a Tale, &'a Twin),
    /// A twin or a system that listens already, by the connector's own config.
    Url(&'a Tale, &'a str),
    Config(&'a Path, &'a str),
}

pub struct Scene {
    pub engine: Arc<Engine>,
    pub plot: Plot,
    pub able: Able,
    /// Tells the story's things from those of another run.
    pub mark: String,
    pub listener: Option<tokio::net::TcpListener>,
    pub door: String,
    twin: Option<(Running, Twin)>,
    failed: Mutex<Vec<String>>,
}

impl Scene {
    /// `seeded`: how many items stand there before anything is read.
    pub async fn set(
        place: &Where<'_>,
        mut connector: Connector,
        seeded: impl Fn(&Connector) -> usize,
    ) -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.context("open a door for webhooks")?;
        let door = format!("http://{}", listener.local_addr().context("open a door")?);
        let mut twin = None;
        if let Where::Twin(_, of) = place {
            hurried(&mut connector);
            let options = Options { port: None, seed: 7, settings: of.settings.clone() };
            twin = Some((kilter_twin::start(&of.name, options).await?, (*of).clone()));
        }
        let able = Able::of(&connector);
        let count = seeded(&connector);
        let mut ids = BTreeMap::new();
        if let Some((running, of)) = &twin {
            ids = prepare(running, of, count).await?;
        }
        let (text, file, connection) = match place {
            Where::Config(file, connection) => {
                let text = std::fs::read_to_string(file);
                let text = text.with_context(|| format!("read {}", file.display()))?;
                (text, *file, Some(*connection))
            }
            Where::Twin(tale, _) | Where::Url(tale, _) => {
                if let Where::Url(_, url) = place {
                    ids.insert("url".to_owned(), (*url).to_owned());
                }
                let text = tale.config.clone().context("find conformance/kilter.toml")?;
                (text, Path::new("conformance/kilter.toml"), None)
            }
        };
        let text = ids
            .iter()
            .fold(text, |text, (name, value)| text.replace(&format!("${{{name}}}"), value));
        let plot = Plot::read(&text, file, connection, connector, &door)?;
        let store = Store::open(Path::new(":memory:")).context("open a database in memory")?;
        let engine = engine(&plot, store).await?;
        let mark = format!("{:06x}", rand::random_range(0..0x0100_0000_u32));
        let listener = Some(listener);
        let failed = Mutex::default();
        Ok(Self { engine, plot, able, mark, listener, door, twin, failed })
    }

    pub fn x(&self) -> &str {
        &self.plot.told
    }

    pub fn has_twin(&self) -> bool {
        self.twin.is_some()
    }

    /// False: the twin has no fault of that name.
    pub async fn fault(&self, name: &str) -> anyhow::Result<bool> {
        let Some((running, twin)) = &self.twin else { return Ok(false) };
        let Some(act) = twin.faults.get(name) else { return Ok(false) };
        office(running, act, &act.body).await?;
        Ok(true)
    }

    /// Lets the twin's back office send its webhooks to our door. False: it needs no telling.
    pub async fn ring_at(&self, door: &str) -> anyhow::Result<bool> {
        let Some((running, twin)) = &self.twin else { return Ok(false) };
        let Some(act) = &twin.webhooks else { return Ok(false) };
        office(running, act, &act.body.replace("$door", door)).await?;
        Ok(true)
    }

    /// The source says something of its own.
    pub async fn tell(&self, collection: &'static str, item: Json) -> anyhow::Result<()> {
        let house = Arc::clone(&self.engine.house);
        let told = self.engine.store.write_async(move |tx| {
            let (asked, at) = (tx.last_seq()?, now());
            let (connection, each, via) = (SOURCE, "", Via::Page);
            let source = Source { connection, collection, each, via, asked, at: &at };
            receive::page(tx, &house, &source, receive::read(&house, &source, vec![item]))
        });
        told.await.context("keep what the source says")?;
        Ok(())
    }

    fn watch(&self) -> impl Fn(Event) + Send + Sync + '_ {
        |event| {
            if let Event::Failed { connection, resource, fault } = event {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.push(format!("{resource} of {connection}: {fault}"));
            }
        }
    }

    /// Listings that could not be read since the last time of asking.
    pub fn failed(&self) -> Vec<String> {
        std::mem::take(&mut *self.failed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads what changed, then works until nothing moves.
    pub async fn align(&self) -> anyhow::Result<()> {
        let watch = self.watch();
        schedule::until_quiet(&self.engine, poll::Extent::SinceCursor, &watch).await?;
        Ok(())
    }

    /// Works until nothing moves, and reads no listing: what fails next is a delivery.
    pub async fn deliver(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if schedule::work(&self.engine, &|_| ()).await? {
                continue;
            }
            let next = self.engine.store.write_async(|tx| tx.next_retry("")).await?;
            let Some(at) = next.and_then(|at| at.parse::<jiff::Timestamp>().ok()) else { break };
            let left = at.duration_since(jiff::Timestamp::now());
            let left = Duration::try_from(left).unwrap_or_default();
            if left > PATIENCE {
                break;
            }
            tokio::time::sleep(left.max(Duration::from_millis(20))).await;
        }
        Ok(())
    }

    /// What of the connection waits for a person or for something else.
    pub async fn waits(&self) -> anyhow::Result<BTreeSet<String>> {
        let x = self.x().to_owned();
        let all = self.engine.store.write_async(|tx| tx.waiting(WAITING_MAX)).await?;
        let own = all.into_iter().filter(|o| o.connection == x);
        let said = own.filter_map(|o| Some((o.resource, o.wait?)));
        Ok(said
            .filter(|(_, wait)| wait.kind != WaitKind::Later)
            .map(|(resource, wait)| format!("{resource} {}: {}", wait.kind.name(), wait.reason))
            .collect())
    }

    /// What of the connection waits for a later look or a time.
    pub async fn later(&self) -> anyhow::Result<Vec<String>> {
        let x = self.x().to_owned();
        let all = self.engine.store.write_async(|tx| tx.waiting(WAITING_MAX)).await?;
        let own = all.into_iter().filter(|o| o.connection == x);
        Ok(own.filter_map(|o| Some(format!("{}: {}", o.resource, o.wait?.reason))).collect())
    }

    /// How many faults of a kind the connection met.
    pub async fn faults(&self, kinds: &[&str]) -> anyhow::Result<i64> {
        let groups = self.engine.store.write_async(|tx| tx.fault_counts()).await?;
        let own =
            groups.iter().filter(|(c, kind, _)| c == self.x() && kinds.contains(&kind.as_str()));
        Ok(own.map(|(_, _, n)| n).sum())
    }

    /// Every item of a resource's listing, as the remote tells it, and for what it was listed. How many
    /// rows there are, where the remote says so, must be so.
    pub async fn items(&self, view: &View<'_>) -> anyhow::Result<Vec<(String, Json)>> {
        let Some(list) = &view.resource.list else { return Ok(Vec::new()) };
        let each = match &list.each {
            Some(what) => view.connection.each(what),
            None => vec![String::new()],
        };
        let mut out = Vec::new();
        for each in each {
            let items = self.listed(view, list, &each).await?;
            out.extend(items.into_iter().map(|item| (each.clone(), item)));
        }
        Ok(out)
    }

    async fn listed(&self, view: &View<'_>, list: &List, each: &str) -> anyhow::Result<Vec<Json>> {
        let call = list.full.as_ref().unwrap_or(&list.call);
        let mut vars = poll::vars(view, each);
        let mut size = list.page.size().unwrap_or(usize::MAX);
        let (mut out, mut told) = (Vec::new(), None);
        for page in 1..=self.engine.house.config.limits.pages_max {
            let at = pages::At { page, offset: (page - 1) * size };
            let read = pages::read(&self.engine, view, list, call, &mut vars, at, &mut size);
            let pages::Got { items, more, count } = read.await.map_err(poll::FaultError)?;
            out.extend(items);
            told = told.or(count);
            if !more {
                break;
            }
        }
        if list.count.is_some() {
            let told = match told {
                None => pages::counted(&self.engine, view, list, &vars).await,
                told => told,
            };
            let (resource, rows) = (&view.resource.name, out.len());
            ensure!(
                told == Some(rows),
                "count the rows of {resource}: {rows} are listed, {told:?} were told"
            );
        }
        Ok(out)
    }

    /// The things that hold a text, in the listings that are `wanted`: what the connector reads of
    /// each. A thing that two listings show is one.
    pub async fn holding(
        &self,
        wanted: impl Fn(&Resource) -> bool,
        text: &str,
    ) -> anyhow::Result<Vec<Projected>> {
        let mut found: BTreeMap<(String, String), Projected> = BTreeMap::new();
        let house = Arc::clone(&self.engine.house);
        let views = house.views().filter(|v| v.connection.name == self.x());
        for view in views.filter(|v| wanted(v.resource)) {
            for (each, item) in self.items(&view).await? {
                if !holds(&item, text) {
                    continue;
                }
                if let Ok(seen) = project(&view, &item, &each) {
                    found.insert((view.resource.collection.clone(), seen.remote.to_string()), seen);
                }
            }
        }
        Ok(found.into_values().collect())
    }

    /// Does a listing of goods, prices or stock show a row of these names with such a value?
    pub async fn shows(&self, rows: &[&str], fits: impl Fn(&str) -> bool) -> anyhow::Result<bool> {
        let house = Arc::clone(&self.engine.house);
        let roots = ["product", "variant", "price", "stock"];
        let views = house.views().filter(|v| v.connection.name == self.x());
        for view in views.filter(|v| roots.contains(&v.resource.root.as_str())) {
            for (each, item) in self.items(&view).await? {
                let Ok(seen) = project(&view, &item, &each) else { continue };
                let mut named =
                    seen.rows.iter().filter(|(r, _)| rows.iter().any(|n| r.ends_with(n)));
                if named.any(|(_, value)| fits(&kilter_core::manifest::plain(value))) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The same database, another config: for credentials that are wrong.
    pub async fn with(&self, change: impl FnOnce(&mut Plot)) -> anyhow::Result<Arc<Engine>> {
        let mut plot = self.plot.clone();
        change(&mut plot);
        engine(&plot, self.engine.store.clone()).await
    }
}

/// Longest that a delivery may take, waits included.
const PATIENCE: Duration = Duration::from_secs(40);
const WAITING_MAX: usize = 10_000;

async fn engine(plot: &Plot, store: Store) -> anyhow::Result<Arc<Engine>> {
    let mut house = plot.house()?;
    crate::engine::since(&mut house, &store)?;
    Ok(Arc::new(Engine::start(house, store).await?))
}

/// A leaf of a JSON value holds a text.
fn holds(value: &Json, text: &str) -> bool {
    match value {
        Json::String(own) => own.contains(text),
        Json::Array(items) => items.iter().any(|item| holds(item, text)),
        Json::Object(map) => map.values().any(|item| holds(item, text)),
        _ => false,
    }
}

/// What stands in the twin before the story, and what its config must name of it.
async fn prepare(
    running: &Running,
    twin: &Twin,
    count: usize,
) -> anyhow::Result<BTreeMap<String, String>> {
    for act in &twin.before {
        office(running, act, &act.body).await?;
    }
    if let Some(seed) = &twin.seed {
        office(running, &seed.act, &seed.of(count)).await?;
    }
    let mut ids = BTreeMap::from([("url".to_owned(), running.url())]);
    for (name, (page, path)) in &twin.ids {
        let (_, text) = plain::get(&format!("{}/_twin/{page}", running.url())).await?;
        let body: Json = serde_json::from_str(&text).context("read the twin's back office")?;
        let path = kilter_core::mapping::Path::parse(path);
        let path = path.map_err(|e| anyhow::anyhow!("read twin.ids.{name}: {e}"))?;
        let (vars, tables) = (BTreeMap::new(), BTreeMap::new());
        let env = Env { vars: &vars, tables: &tables, root: None };
        let found = path.read(&body, &env).filter(|v| !v.is_null());
        let found = found.with_context(|| format!("find twin.ids.{name} in its back office"))?;
        ids.insert(name.clone(), kilter_core::manifest::plain(&found));
    }
    Ok(ids)
}

async fn office(running: &Running, act: &Act, body: &str) -> anyhow::Result<()> {
    let url = format!("{}/_twin/{}", running.url(), act.page);
    let (status, text) = plain::post(&url, &[], body.to_owned()).await?;
    anyhow::ensure!(status == 200, "use the twin's back office: {}: {status} {text}", act.page);
    Ok(())
}

/// What the source says of a thing to sell.
pub struct Good {
    pub n: usize,
    pub sku: String,
    pub title: String,
    pub barcode: String,
    pub status: &'static str,
    pub price: String,
    /// Pieces at each place.
    pub pieces: u32,
}

impl Scene {
    pub fn good(&self, n: usize) -> Good {
        Good {
            n,
            sku: format!("STORY-{}-{n}", self.mark),
            title: format!("A story {} {n}", self.mark),
            barcode: String::new(),
            status: "active",
            price: "12.50".to_owned(),
            pieces: 7,
        }
    }

    pub async fn tell_good(&self, good: &Good) -> anyhow::Result<()> {
        let Good { n, sku, title, status, .. } = good;
        let product =
            json!({ "id": n, "code": sku, "kind": "simple", "status": status, "title": title });
        self.tell("products", product).await?;
        let variant = json!({
            "id": n, "sku": sku, "status": status, "product": n, "barcode": good.barcode,
        });
        self.tell("variants", variant).await?;
        self.tell("prices", json!({ "id": n, "variant": n, "amount": good.price })).await?;
        let source = self.plot.config.connections.get(SOURCE);
        for (name, _) in source.iter().flat_map(|c| &c.locations) {
            let id = format!("{n} at {name}");
            let pieces = good.pieces.to_string();
            let figure = json!({ "id": id, "variant": n, "location": name, "figure": pieces });
            self.tell("stock", figure).await?;
        }
        Ok(())
    }
}
