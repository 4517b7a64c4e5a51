//! A target that takes two calls a second, and a thousand changes of one figure in ten.
//!
//! Reads   what the canned shop was sent.   Writes  webhooks, a hundred a second.
//! Never   counts a call that came after the shop showed the last figure.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::canned::Canned;
use crate::report::{Row, Wanted};
use crate::rig::Rig;
use crate::storm::{Course, Event, rage};

const CHANGES: usize = 1_000;
const PER_SECOND: u32 = 100;

/// Two calls a second, for ten seconds.
const LEAST: f64 = 20.0;

/// One more than that.
const MOST: f64 = 1.05;

/// Longest wait for the last figure.
const PATIENCE: Duration = Duration::from_secs(30);

pub async fn row() -> Result<Row> {
    let canned = Canned::start(1).await?;
    let rig = Rig::new("limited")?;
    slow_shop(&rig)?;
    rig.config(&canned.url(), "")?;
    rig.run(&["sync"]).await?;
    ensure!(canned.shop().len() == 1, "the article does not stand in the shop");
    canned.stockroom().mute = true;
    let _running = rig.serve().await?;
    // Polls at the start take their turns first.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let mut events = Vec::with_capacity(CHANGES);
    for n in 0..CHANGES {
        let mut stockroom = canned.stockroom();
        let figure = 1_000 + i64::try_from(n)?;
        stockroom.set(0, figure);
        events.push(Event::new(0, figure, stockroom.hook(0, 300)));
    }
    let last = canned.stockroom().quantity(0);
    canned.shop().want(vec![last]);
    let course = Arc::new(Course::default());
    let told = rage(rig.listen, "/hooks/stockroom", events, Some(PER_SECOND), &course).await;
    ensure!(told.iter().all(|t| t.acknowledged), "a webhook was refused");
    let started = std::time::Instant::now();
    while canned.shop().wanted().arrived == 0 {
        ensure!(started.elapsed() < PATIENCE, "the last figure is not shown");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Nothing follows.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let shown = canned.shop().figures(1)[0];
    ensure!(shown == Some(last), "the shop shows {shown:?}, and not {last}");
    let (writes, reads) = {
        let shop = canned.shop();
        (shop.writes, shop.reads)
    };
    let work = "1,000 changes of one stock level in 10 s, 2 calls/s: calls that write";
    let mut row = Row::new(work, "calls", Wanted::AtMost(MOST));
    (row.floor, row.kilter) = (vec![LEAST], vec![writes as f64]);
    row.notes.push(format!("the last value right; {reads} reads take turns with the writes"));
    Ok(row)
}

/// The shop's connector, as a merchant would copy it: but for two calls a second.
fn slow_shop(rig: &Rig) -> Result<()> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connectors/woocommerce");
    let to = rig.folder.join("connectors/woocommerce");
    std::fs::create_dir_all(&to)?;
    for entry in std::fs::read_dir(&from).with_context(|| format!("read {}", from.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "toml") {
            let text =
                std::fs::read_to_string(&path)?.replace("[limit]", "[limit]\nper_second = 2");
            std::fs::write(to.join(path.file_name().unwrap_or_default()), text)?;
        }
    }
    Ok(())
}
