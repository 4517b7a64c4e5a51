//! Convergence: whatever happens in a storm, once it is over everything that is owned agrees, what is
//! the shops' own is as people left it, and nothing is written any more.
//!
//! Reads   `KILTER_CASES` (2), `KILTER_STEPS` (60); `KILTER_KEEP=3,7,9` plays only these steps of case
//!         `KILTER_CASE`.
//! Writes  the shortest script it finds, where one fails.
//! Never   calls a storm over before two sweeps in a row changed nothing.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::support;
use serde_json::json;

use crate::storms::judge;
use crate::storms::people::{self, Left};
use crate::storms::script::{self, Shop, Step};
use crate::storms::stage::{Stage, seed, told};
/// What is right after this long is right in time: back-offs end, on a busy machine too.
const CALM: Duration = Duration::from_secs(90);
/// Longer than every period of the config: who would write still does it within.
const QUIET: Duration = Duration::from_secs(5);
/// How long a failed script is made shorter.
const SHORTEN: Duration = Duration::from_secs(240);
const MUGS: usize = 6;
/// Nobody deletes it: see `people`.
const UNDELETED: &str = "TEE-000-M";

/// One shop asks what becomes of what was deleted, the other has it made again. What no webhook tells
/// is polled every few seconds. One
/// shop owns its descriptions, once the ERP proposed them.
fn config(text: String) -> String {
    let seeded = "[own.product]\n\"description@de_DE\" = { owner = \"de\", seed = \"erp\" }\n";
    text.replace("[connection.us]\n", "[connection.us]\ngone = \"recreate\"\n")
        .replace("[own.product]\n", seeded)
        .replace("templates = \"3s\"", "templates = \"2s\"\ntexts = \"2s\"")
        .replace(
            "orders = \"2s\"\nrefunds",
            "orders = \"1s\"\nsimple = \"2s\"\nvariable = \"2s\"\nvariations = \"2s\"\nrefunds",
        )
}

/// Storms of this name have the twins' own faults beside those between them and Kilter.
const OWN: &str = "storm-own";
/// So many kinds of them, or nothing was tried.
const OWN_LEAST: usize = 5;

/// Err: what was wrong.
async fn storm(name: &str, script: &[Step], first_load: bool, without: &str) -> Result<(), String> {
    let mut stage = Stage::start(name, config).await;
    stage.own_faults = name.starts_with(OWN);
    let catalogue = support::seed(MUGS, 25);
    stage.rig.post(&format!("{}/_twin/seed", stage.rig.erp.url()), &catalogue).await;
    if !first_load {
        let (code, said) = stage.rig.run(&["sync"]).await;
        assert_eq!(code, 0, "{said}");
    }
    let started = Instant::now();
    let mut serving = stage.served(without).await;
    stage.own(true).await;
    let mut left = people::act(&stage, script, &mut serving, without).await;
    people::clear_bin(&stage, Shop::Us, &mut left).await;
    let met = stage.met().await;
    stage.clear_up().await;
    if stage.own_faults {
        // Subscriptions are looked over as it starts, and each ten minutes.
        serving.stop();
        serving = stage.served(without).await;
    }
    let over = started.elapsed();
    let outcome = after(&stage, &mut serving, &left, without).await;
    let struck = stage.struck();
    let passed = stage.door.passed.load(Ordering::SeqCst);
    println!(
        "{name}: {:?}; {struck} calls struck, {met:?}, {passed} webhooks; over after {over:.1?}, judged after \
         {:.1?}: {}",
        left.done,
        started.elapsed(),
        if outcome.is_ok() { "agrees" } else { "does not agree" }
    );
    if outcome.is_err() {
        // To be looked at.
        let kept = stage.rig.folder.with_extension("failed");
        std::fs::remove_dir_all(&kept).ok();
        std::fs::rename(&stage.rig.folder, &kept).unwrap();
        println!("{name}: its folder is kept as {}", kept.display());
    }
    if stage.own_faults && met.len() < OWN_LEAST {
        return Err(format!("it was no storm: {met:?}"));
    }
    outcome
}

async fn after(
    stage: &Stage,
    serving: &mut support::Serving,
    left: &Left,
    without: &str,
) -> Result<(), String> {
    let started = Instant::now();
    let mut found = vec![String::new()];
    while !found.is_empty() && started.elapsed() < CALM {
        tokio::time::sleep(Duration::from_millis(200)).await;
        found = not_swept(judge::wrong(stage, left).await, left);
        found.extend(judge::unheard(stage).await);
    }
    serving.kill();
    told_of("the storm", stage, found).await?;
    for sweep in ["the first sweep", "the second sweep"] {
        let before = stage.writes();
        let (code, said) = stage.rig.run(&["backfill"]).await;
        told_of(sweep, stage, Vec::from_iter((code != 0).then_some(said))).await?;
        // The first may find what nobody was told of; then there is nothing left.
        let wrote = std::array::from_fn(|at| stage.writes()[at] - before[at]);
        if sweep == "the second sweep" && wrote != [0; 3] && without.is_empty() {
            return Err(format!("the second sweep wrote {wrote:?} times to the ERP and the shops"));
        }
    }
    told_of("two sweeps", stage, judge::wrong(stage, left).await).await?;
    let (code, said) = stage.rig.run(&["plan"]).await;
    told_of("two sweeps", stage, Vec::from_iter((code != 0).then_some(said))).await?;
    let mut wrong = Vec::new();
    let status = stage.rig.status().await;
    if status["conserved"] != true || status["dead"] != json!([]) {
        wrong.push(format!("conserved {}, dead {}", status["conserved"], status["dead"]));
    }
    let asked = |wait: &&serde_json::Value| {
        let reason = wait["reason"].as_str().unwrap();
        reason.starts_with("someone deleted it in de")
    };
    let waits = status["waits"].as_array().unwrap();
    wrong.extend(waits.iter().filter(|w| !asked(w)).map(|w| format!("waits: {w}")));
    let deleted = left.deleted.iter().chain(left.binned.keys());
    let deleted = deleted.filter(|(shop, _)| *shop == Shop::De).count();
    let asked = waits.iter().filter(asked).count();
    if asked != deleted {
        wrong.push(format!("{deleted} were deleted in de, {asked} are asked about"));
    }
    told_of("two sweeps", stage, wrong).await?;
    quiet(stage, without).await
}

/// What was deleted without a word is found by the next sweep, and made again then.
fn not_swept(mut wrong: Vec<String>, left: &Left) -> Vec<String> {
    let deleted = |sku: &str| left.deleted.iter().any(|(_, other)| sku == other);
    wrong.retain(|w| {
        !(w.ends_with("stands there 0 times") && deleted(w.split(' ').nth(1).unwrap()))
    });
    wrong
}

/// One price of one shop changes: that is one call, and none in the other shop. Then nothing.
async fn quiet(stage: &Stage, without: &str) -> Result<(), String> {
    // Subscriptions and what else is looked over at the start is not counted.
    let mut serving = stage.served(without).await;
    let started = Instant::now();
    while !judge::unheard(stage).await.is_empty() && started.elapsed() < CALM {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(QUIET / 3).await;
    let before = stage.writes();
    let edit = json!([{ "sku": UNDELETED, "list": "USD", "price": "77.77" }]);
    stage.rig.post(&format!("{}/_twin/prices", stage.rig.erp.url()), &edit).await;
    tokio::time::sleep(QUIET).await;
    let written = stage.writes().map(|n| n.to_string()).join("+");
    serving.kill();
    let wanted = [before[0], before[1], before[2] + 1].map(|n| n.to_string()).join("+");
    let wrong = (written != wanted).then(|| {
        format!(
            "{written} write calls to erp, de and us, not {wanted}: one price of us was changed, and \
             nothing else happened for {QUIET:?}"
        )
    });
    told_of("the quiet", stage, Vec::from_iter(wrong)).await
}

async fn told_of(after: &str, stage: &Stage, wrong: Vec<String>) -> Result<(), String> {
    if wrong.is_empty() {
        return Ok(());
    }
    let status = stage.rig.status().await;
    let waits = serde_json::to_string_pretty(&status["waits"]).unwrap();
    Err(format!("wrong after {after}:\n{}\nwaits: {waits}", wrong.join("\n")))
}

fn skus() -> Vec<String> {
    support::skus(&support::seed(MUGS, 0))
}

fn kept() -> Option<Vec<usize>> {
    let said = std::env::var("KILTER_KEEP").ok()?;
    Some(said.split(',').map(|n| n.trim().parse().expect("KILTER_KEEP is numbers")).collect())
}

/// The steps that are left when no part of them can be left out, as far as there was time.
async fn shorten(all: &[Step], first_load: bool) -> (Vec<usize>, String) {
    let (mut keep, mut said) = ((0..all.len()).collect::<Vec<_>>(), String::new());
    let (started, mut part) = (Instant::now(), all.len() / 2);
    while part > 0 && started.elapsed() < SHORTEN {
        let mut at = 0;
        while at < keep.len() && started.elapsed() < SHORTEN {
            let without: Vec<usize> = keep
                .iter()
                .enumerate()
                .filter(|(n, _)| !(at..at + part).contains(n))
                .map(|(_, k)| *k)
                .collect();
            let script: Vec<Step> = without.iter().map(|n| all[*n].clone()).collect();
            match storm("storm-shorter", &script, first_load, "").await {
                Err(wrong) => (keep, said) = (without, wrong),
                Ok(()) => at += part,
            }
        }
        part /= 2;
    }
    (keep, said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_storm_everything_agrees_and_nothing_is_written_any_more() {
    let (seed, cases, steps) = (seed(), told("KILTER_CASES", 2), told("KILTER_STEPS", 60));
    let only = std::env::var("KILTER_CASE").ok().map(|n| n.parse::<usize>().unwrap());
    let mut storms = tokio::task::JoinSet::new();
    for case in (0..cases).filter(|case| only.is_none_or(|only| only == *case)) {
        storms.spawn(async move {
            let mut script = script::script(seed, case, steps, &skus());
            if let Some(kept) = kept() {
                script = kept.iter().map(|n| script[*n].clone()).collect();
            }
            let outcome = storm(&format!("storm-{case}"), &script, case % 2 == 0, "").await;
            (case, script, outcome)
        });
    }
    while let Some(done) = storms.join_next().await {
        let (case, script, outcome) = done.unwrap();
        let Err(wrong) = outcome else { continue };
        println!("case {case}: {wrong}\nmade shorter for at most {SHORTEN:?} …");
        let (keep, said) = if kept().is_some() {
            ((0..script.len()).collect(), String::new())
        } else {
            shorten(&script, case % 2 == 0).await
        };
        let list: Vec<String> = keep.iter().map(|n| format!("{n}: {}", script[*n])).collect();
        let numbers: Vec<String> = keep.iter().map(ToString::to_string).collect();
        panic!(
            "{wrong}\n\nthe shortest script:\n{}\n{said}\nagain: KILTER_SEED={seed} KILTER_STEPS={steps} \
             KILTER_CASE={case} KILTER_KEEP={}",
            list.join("\n"),
            numbers.join(",")
        );
    }
}

/// Without echo suppression what is there already is written for ever: the quiet is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_echo_suppression_the_quiet_is_none() {
    let script = [Step::Price { sku: "MUG-000".into(), list: "EUR", cents: 1234 }];
    let outcome = storm("storm-echo", &script, false, "echo_suppression").await;
    let wrong = outcome.expect_err("without the guard the law must be broken");
    assert!(wrong.contains("nothing else happened"), "for another reason: {wrong}");
}

/// Each twin does what its platform does now and then, and people go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_what_platforms_do_by_themselves_everything_agrees() {
    let seed = seed();
    let script = script::script(seed, 0, told("KILTER_STEPS", 60), &skus());
    if let Err(wrong) = storm(OWN, &script, true, "").await {
        panic!("{wrong}\nagain: KILTER_SEED={seed}");
    }
}
