//! The demo's second part: a rough day. What people, networks, the ERP and a kill do to it.
//!
//! Reads   the stage.   Writes  the terminal; kills and starts `kilter serve`.
//! Never   judges: the referee does, from the twins' own state.

use std::collections::BTreeMap;
use std::time::Duration;

use kilter_twin::scenario::{Did, Stage, Step};

use super::{Served, show, until_there};

/// How long Kilter is dead.
const DEAD: Duration = Duration::from_secs(1);

pub async fn tell(
    stage: &mut Stage,
    screen: &mut show::Screen,
    kilter: &mut Served,
    until: Step,
) -> anyhow::Result<()> {
    if until >= Step::Drift {
        let did = stage.write_into_a_shop().await?;
        say(screen, &did, "prices and stock levels written into a shop by a person: drift");
        until_there(stage, screen, Step::Drift, "drift", "repaired").await?;
    }
    if until >= Step::Gone {
        let did = stage.delete_in_a_shop().await?;
        say(screen, &did, "products deleted in a shop by a person: it is asked, nothing is made");
        until_there(stage, screen, Step::Gone, "deleted", "stay away").await?;
    }
    if until >= Step::Hooks {
        let did = stage.lose_webhooks().await?;
        say(screen, &did, "orders and counts, told twice, late, out of order, or never");
        until_there(stage, screen, Step::Hooks, "orders", "orders where they belong").await?;
        let (lost, sent, struck) = stage.keep_webhooks().await?;
        screen
            .say(&format!("    {lost} webhooks never came, {sent} did so far: {}", said(&struck)));
    }
    if until >= Step::Storm {
        let did = stage.erp_is_ill().await?;
        say(screen, &did, "orders and counts while the ERP was ill, then away for 10 s");
        let struck = stage.erp_is_well().await?;
        screen.say(&format!("    it answered with {}", said(&struck)));
        until_there(stage, screen, Step::Storm, "orders", "orders where they belong").await?;
    }
    if until >= Step::Kill {
        let did = stage.work_on(false).await?;
        kilter.kill().await?;
        say(screen, &did, "orders and counts, and kilter killed in the middle (kill -9)");
        let more = stage.work_on(true).await?;
        tokio::time::sleep(DEAD).await;
        kilter.again()?;
        screen
            .say(&format!("    {} more while it was dead; then it was started again", more.count));
        until_there(stage, screen, Step::Kill, "orders", "orders where they belong").await?;
    }
    Ok(())
}

fn said(struck: &BTreeMap<String, u64>) -> String {
    let said = struck.iter().map(|(name, count)| format!("{count} {}", name.replace('_', " ")));
    said.collect::<Vec<_>>().join(", ")
}

fn say(screen: &show::Screen, did: &Did, what: &str) {
    screen.say(&format!("{} {what}", did.count));
    for example in did.examples.iter().take(2) {
        screen.say(&format!("    {example}"));
    }
}
