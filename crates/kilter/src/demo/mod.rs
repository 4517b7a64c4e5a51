//! `kilter demo`: the main job before your eyes. Twins in this process, `kilter serve` beside it.
//!
//! Reads   the twins' own state (through the scenario's referee); Kilter's sums, shown beside.
//! Writes  a folder with an ordinary `kilter.toml` and the database; the terminal.
//! Never   judges by Kilter's own store whether the systems agree: only the referee does.

mod rough;
mod show;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use kilter_core::model::Wait;
use kilter_twin::scenario::{Did, Stage, Step, Verdict};
use serde_json::json;
use tokio::process::{Child, Command};

use crate::store::Store;

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Multiplies the catalogue: 1 is about a thousand variants.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=50))]
    scale: u32,
    /// The same seed tells the same story.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// One JSON object at the end, and nothing else.
    #[arg(long)]
    json: bool,
    /// Leave everything running afterwards, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Tell the story up to this step only, and judge then.
    #[arg(long, hide = true, default_value = "kill")]
    until: Step,
    /// Where to write the config and the database; a new folder by default.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// From one look at the twins to the next, at least. Who looks takes the twins' time: so many times as
/// long as a look took, they are left alone.
const LOOK: Duration = Duration::from_millis(150);
const LEFT_ALONE: u32 = 4;
/// A step that has not arrived after this has failed: the referee says what is missing.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let mut screen = show::Screen::new(args.json, std::io::stderr().is_terminal());
    let folder = folder(&args)?;
    let mut stage = Stage::start(args.seed, args.scale).await?;
    let listen = free_address().await?;
    let config = folder.join("kilter.toml");
    std::fs::write(&config, stage.config(&listen))
        .with_context(|| format!("write {}", config.display()))?;
    screen.say(&format!("three shops and an ERP (twins, on this machine): {}", urls(&stage)));
    screen.say(&format!("config: {}", config.display()));
    let mut kilter = Served::start(&config, &folder)?;
    stage.ring(&listen).await?;
    let story = story(&mut stage, &mut screen, &mut kilter, args.until).await;
    let store = Store::open_read_only(&folder.join("kilter.sqlite"));
    let quiet = settle(&stage, store.as_ref().ok()).await?;
    story?;
    let verdict = stage.referee().await?;
    let deleted = stage.script.deleted.len();
    let sums = sums(&store.context("open the demo's database")?, &verdict, deleted)?;
    let ok = verdict.ok && sums.hold() && quiet;
    if !quiet {
        screen.say("not in order: it does not come to rest: something is written again and again");
    }
    if args.json {
        println!(
            "{}",
            json!({ "ok": ok, "quiet": quiet, "referee": verdict, "kilter": sums, "seconds": started.elapsed().as_secs(),
                "seed": args.seed, "scale": args.scale })
        );
    } else {
        show::verdict(&verdict, &sums, ok, started.elapsed());
    }
    if args.keep {
        screen.say(&format!(
            "still running: {}\nlook: kilter --config {} status     stop: Ctrl-C",
            urls(&stage),
            config.display()
        ));
        tokio::signal::ctrl_c().await.context("wait for Ctrl-C")?;
    }
    kilter.kill().await?;
    if args.folder.is_none() && !args.keep && ok {
        std::fs::remove_dir_all(&folder).context("remove the demo's folder")?;
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn folder(args: &DemoArgs) -> anyhow::Result<PathBuf> {
    let folder = args.folder.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("kilter-demo-{}", std::process::id()))
    });
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    anyhow::ensure!(
        !folder.join("kilter.sqlite").exists(),
        "start in {}: there is a database already; name another folder",
        folder.display()
    );
    Ok(folder)
}

async fn free_address() -> anyhow::Result<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("find a port")?;
    Ok(listener.local_addr().context("find a port")?.to_string())
}

/// `kilter serve` in a process of its own.
struct Served {
    config: PathBuf,
    folder: PathBuf,
    child: Child,
}

impl Served {
    fn start(config: &Path, folder: &Path) -> anyhow::Result<Self> {
        let child = serve(config, folder)?;
        Ok(Self { config: config.to_owned(), folder: folder.to_owned(), child })
    }

    /// As `kill -9`: it is not asked, and saves nothing on its way.
    async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("kill kilter serve")
    }

    /// The same command once more.
    fn again(&mut self) -> anyhow::Result<()> {
        self.child = serve(&self.config, &self.folder)?;
        Ok(())
    }
}

fn serve(config: &Path, folder: &Path) -> anyhow::Result<Child> {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("kilter.log"));
    Command::new(std::env::current_exe().context("find kilter itself")?)
        .arg("--config")
        .arg(config)
        .arg("serve")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(log.context("write the demo's log")?)
        .kill_on_drop(true)
        .spawn()
        .context("start kilter serve")
}

fn urls(stage: &Stage) -> String {
    let urls = stage.urls();
    urls.iter().map(|(name, url)| format!("{name} {url}")).collect::<Vec<_>>().join(", ")
}

const STORY: [(Step, &str); 5] = [
    (Step::Prices, "prices changed in the ERP"),
    (Step::Stock, "stock levels changed in the ERP"),
    (Step::Orders, "orders placed in the shops while the ERP took none; then it lost answers"),
    (Step::Ship, "orders shipped by the ERP"),
    (Step::Titles, "titles edited in the shop that owns them"),
];

async fn story(
    stage: &mut Stage,
    screen: &mut show::Screen,
    kilter: &mut Served,
    until: Step,
) -> anyhow::Result<()> {
    load(stage, screen).await?;
    for (step, what) in STORY.into_iter().filter(|(step, _)| *step <= until) {
        let did = match step {
            Step::Prices => stage.change_prices().await?,
            Step::Stock => stage.change_stock().await?,
            Step::Orders => stage.place_orders().await?,
            Step::Ship => stage.ship_orders().await?,
            Step::Titles => stage.edit_titles().await?,
            _ => continue,
        };
        arrive(stage, screen, step, what, &did).await?;
    }
    rough::tell(stage, screen, kilter, until).await
}

/// The initial load, with a bar for each shop.
async fn load(stage: &Stage, screen: &mut show::Screen) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let looked = Instant::now();
        let progress = stage.progress().await?;
        screen.bars(progress.iter().map(|(name, d)| (name.as_str(), d.done, d.total)));
        if progress.values().all(|d| d.done >= d.total) {
            break;
        }
        if begun.elapsed() > PATIENCE * 3 {
            screen.say("the initial load has not arrived; the referee will say what is missing");
            break;
        }
        pause(looked).await;
    }
    screen.clear_bars();
    let total: usize = stage.progress().await?.values().map(|d| d.done).sum();
    screen.say(&format!(
        "initial load: {total} products and variants stand in the shops after {:.1} s",
        begun.elapsed().as_secs_f32()
    ));
    Ok(())
}

/// After a look that began then.
async fn pause(looked: Instant) {
    tokio::time::sleep(LOOK.max(looked.elapsed() * LEFT_ALONE)).await;
}

async fn arrive(
    stage: &Stage,
    screen: &mut show::Screen,
    step: Step,
    what: &str,
    did: &Did,
) -> anyhow::Result<()> {
    screen.say(&format!("{} {what}", did.count));
    for example in did.examples.iter().take(2) {
        screen.say(&format!("    {example}"));
    }
    until_there(stage, screen, step, what, "where they belong").await
}

/// Waits for what a step did, and says how long that took.
async fn until_there(
    stage: &Stage,
    screen: &mut show::Screen,
    step: Step,
    what: &str,
    how: &str,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let looked = Instant::now();
        let (arrived, expected) = stage.arrived(step).await?;
        screen.bars(std::iter::once((what, arrived, expected)));
        if arrived >= expected || begun.elapsed() > PATIENCE {
            screen.clear_bars();
            let seconds = begun.elapsed().as_secs_f32();
            screen.say(&format!("    {arrived} of {expected} {how} after {seconds:.1} s"));
            return Ok(());
        }
        pause(looked).await;
    }
}

/// Waits until nothing is due, nothing is open and no webhook is on its way.
/// False: it did not come to rest.
async fn settle(stage: &Stage, store: Option<&Store>) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let mut quiet = 0;
    while quiet < 4 && begun.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let busy = match store {
            Some(store) => store.read(|tx| {
                let rows = tx.resource_status()?;
                Ok(tx.open_count()? > 0 || rows.iter().any(|r| r.due > 0 || r.looks > 0))
            })?,
            None => true,
        };
        let busy = busy || stage.hooks().await?.values().any(|h| h.pending > 0);
        quiet = if busy { 0 } else { quiet + 1 };
    }
    Ok(quiet >= 4)
}

/// Kilter's own sums: what came in ended in exactly one way.
#[derive(Debug, serde::Serialize)]
pub struct OwnSums {
    pub received: i64,
    pub unchanged: i64,
    pub merged: i64,
    pub filtered: i64,
    pub dead: i64,
    pub open: i64,
    /// Webhooks that the twins sent and saw acknowledged, and webhooks that Kilter kept.
    pub hooks_acknowledged: u64,
    pub hooks_received: i64,
    pub hooks_sent: u64,
    /// Products that people deleted, and those of them that Kilter asks about.
    pub deleted: usize,
    pub asked: usize,
}

impl OwnSums {
    pub fn conserved(&self) -> bool {
        self.received == self.unchanged + self.merged + self.filtered + self.dead + self.open
    }

    /// A ping is acknowledged and not kept, so it counts for neither side.
    pub fn hooks_hold(&self) -> bool {
        let received = u64::try_from(self.hooks_received).unwrap_or(0);
        self.hooks_acknowledged <= received && received <= self.hooks_sent
    }

    pub fn hold(&self) -> bool {
        let ended = self.dead == 0 && self.open == 0;
        self.conserved() && self.hooks_hold() && ended && self.asked == self.deleted
    }
}

/// Objects that a person deleted and Kilter does not make again unasked.
fn asked(store: &Store) -> anyhow::Result<usize> {
    let waiting = store.read(|tx| tx.waiting(WAITS_MAX))?;
    let deleted = |wait: &Wait| wait.reason.starts_with("someone deleted it");
    Ok(waiting.iter().filter_map(|object| object.wait.as_ref()).filter(|w| deleted(w)).count())
}

/// Most waits that are looked at.
const WAITS_MAX: usize = 10_000;

fn sums(store: &Store, verdict: &Verdict, deleted: usize) -> anyhow::Result<OwnSums> {
    let (sums, open, hooks) =
        store.read(|tx| Ok((tx.sums()?, tx.open_count()?, tx.count_via("hook")?)))?;
    let total = |kind: &str| -> i64 {
        sums.iter().filter(|((_, _, k), _)| k == kind).map(|(_, n)| n).sum()
    };
    Ok(OwnSums {
        received: total("received"),
        unchanged: total("unchanged"),
        merged: total("merged"),
        filtered: total("filtered"),
        dead: total("dead"),
        open,
        hooks_acknowledged: verdict.webhooks.values().map(|h| h.acknowledged).sum(),
        hooks_received: hooks,
        hooks_sent: verdict.webhooks.values().map(|h| h.sent).sum(),
        deleted,
        asked: asked(store)?,
    })
}
