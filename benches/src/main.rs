//! `make bench`: Kilter and its floors in turn, and the tables of BENCHMARKS.md.
//!
//! Reads   arguments.   Writes  to the terminal; with `--write`, BENCHMARKS.md.
//! Never   judges by one turn: medians, and the spread beside them.

use std::path::Path;

use anyhow::{Context, Result, bail};
use kilter_bench::flow::{Scene, Target};
use kilter_bench::report::{self, Row};
use kilter_bench::{floors, growth, hooks, limited, load, machine, merge, orders, start, sweep};

const USAGE: &str = "\
kilter-bench [--turns N] [--scale small|full] [--write PAGE] WORK…

works: hooks merge sweep, or stages for the three; half, of merge the second row alone
       flow canned steady orders load limited start, or flows for the seven
       growth, or growth=SIZE,SIZE,…
small: a tenth or less of the size, in seconds; what it shows is that the benches run";

struct Args {
    turns: usize,
    small: bool,
    page: Option<String>,
    works: Vec<String>,
}

fn arguments(mut given: std::env::Args) -> Result<Args> {
    given.next();
    let mut args = Args { turns: 3, small: false, page: None, works: Vec::new() };
    while let Some(word) = given.next() {
        let mut value = || given.next().with_context(|| format!("use {word}: a value is missing"));
        match word.as_str() {
            "--turns" => args.turns = value()?.parse().context("use --turns")?,
            "--scale" => args.small = value()? == "small",
            "--write" => args.page = Some(value()?),
            _ => args.works.push(word),
        }
    }
    Ok(args)
}

/// A process of a bench's own: a floor, or one stage.
async fn child(words: &[&str]) -> Option<Result<()>> {
    let address = |text: &str| text.parse().context("read an address");
    Some(match words {
        ["floor", "stock", listen, target] => match (address(listen), address(target)) {
            (Ok(listen), Ok(target)) => floors::by_hand::stock(listen, target).await,
            (listen, target) => listen.and(target).map(|_| ()),
        },
        ["floor", "orders", listen, target] => match (address(listen), address(target)) {
            (Ok(listen), Ok(target)) => floors::by_hand::orders(listen, target).await,
            (listen, target) => listen.and(target).map(|_| ()),
        },
        ["floor", "hooks", listen, _] => match address(listen) {
            Ok(listen) => floors::hooks::serve(listen).await,
            Err(error) => Err(error),
        },
        ["stage", "hooks", folder, listen] => match address(listen) {
            Ok(listen) => hooks::stage(Path::new(folder), listen).await,
            Err(error) => Err(error),
        },
        ["stage", who, folder, from] if who.starts_with("sweep-") => match address(from) {
            Ok(from) => sweep::stage(&who["sweep-".len()..], Path::new(folder), from).await,
            Err(error) => Err(error),
        },
        _ => return None,
    })
}

async fn measure(work: &str, args: &Args) -> Result<Vec<Row>> {
    let by = |full: usize, small: usize| if args.small { small } else { full };
    Ok(match work {
        "hooks" => hooks::Hooks::start(by(100_000, 2_000)).await?.rows(args.turns).await?,
        "merge" | "half" => {
            let mut merge = merge::Merge::start(by(10_000, 500), by(20, 2)).await?;
            let mut rows = Vec::new();
            for half in [false, true].into_iter().filter(|half| *half || work == "merge") {
                rows.push(merge.row(half, args.turns).await?);
            }
            rows
        }
        "sweep" => vec![sweep::Sweep::start(by(100_000, 1_000)).await?.row(args.turns).await?],
        "flow" | "canned" => {
            let target = if work == "flow" { Target::Twin } else { Target::Canned };
            let mut scene = Scene::start(work, target, by(10_000, 500)).await?;
            vec![scene.row(by(10, 2), args.turns).await?]
        }
        "steady" => {
            let mut scene = Scene::start(work, Target::Canned, by(10_000, 1_000)).await?;
            vec![scene.steady_row(500, args.turns).await?]
        }
        "orders" => vec![orders::row(by(1_000, 60), args.turns).await?],
        "load" => vec![load::row(by(10_000, 300)).await?],
        "limited" => vec![limited::row().await?],
        "start" => start::rows(by(100_000, 4_000), args.turns).await?,
        "growth" => growth::rows(by_size(&GROWTH, args.small)).await?,
        sizes if sizes.starts_with("growth=") => {
            let sizes = sizes["growth=".len()..].split(',').map(str::parse);
            growth::rows(&sizes.collect::<Result<Vec<usize>, _>>().context("read the sizes")?)
                .await?
        }
        _ => bail!("find the work {work:?}\n\n{USAGE}"),
    })
}

/// What growth is measured at, unless it is said.
const GROWTH: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

fn by_size(sizes: &[usize; 4], small: bool) -> &[usize] {
    if small { &sizes[..2] } else { &sizes[..] }
}

/// Works that go by one name.
fn named(work: &str) -> Vec<&str> {
    match work {
        "stages" => vec!["hooks", "merge", "sweep"],
        "flows" => vec!["flow", "canned", "steady", "orders", "load", "limited", "start"],
        one => vec![one],
    }
}

fn main() -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(run())
}

async fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Some(done) = child(&words).await {
        return done;
    }
    let args = arguments(std::env::args())?;
    if args.works.is_empty() {
        bail!("{USAGE}");
    }
    let mut rows = Vec::new();
    for work in &args.works {
        for work in named(work) {
            eprintln!("{work} …");
            let found = measure(work, &args).await.with_context(|| format!("measure {work}"))?;
            eprint!("{}", report::table(&found));
            rows.extend(found);
        }
    }
    let head = machine::line(&std::env::temp_dir())?;
    match &args.page {
        Some(page) => {
            let name = args.works.first().map_or("stages", |w| w.split('=').next().unwrap_or(w));
            report::write(Path::new(page), name, &head, &rows)
        }
        None => {
            println!("{head}\n\n{}", report::table(&rows));
            Ok(())
        }
    }
}
