//! `kilter decide`: how a person answers what waits for him. With a reason, kept.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use kilter_core::model::{Object, State, Wait, WaitKind};
use kilter_core::sync::existence;
use kilter_core::sync::house::{BIRTH_ROW, DECIDED_ROW, ROUNDED_ROW};
use kilter_core::sync::mark::{mark_object, object_bound};
use kilter_core::sync::{document, lifecycle, redirect, replace};
use serde_json::json;

use crate::engine::now;
use crate::pipeline::permits;
use crate::store::{Store, Tx};

#[derive(Debug, Args)]
pub struct DecideArgs {
    /// The number of the object, as `kilter status` and `kilter sync` show it.
    object: i64,
    #[command(subcommand)]
    answer: Answer,
    /// Why; kept with the answer.
    #[arg(long, default_value = "", global = true)]
    reason: String,
    /// One JSON object instead of text.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Answer {
    /// It exists: this is its id there.
    Link { id: String },
    /// It does not exist: create it once more.
    CreateAgain,
    /// It was deleted by mistake: create it anew.
    Recreate,
    /// It stands where it should not, or in another's way: delete it there, and make it anew.
    Replace,
    /// Leave it as it is there; do not ask again.
    Leave,
    /// What the shop says now is right: measure later changes from here.
    Shop,
    /// What the ERP says is right: keep it as it was sent.
    Erp,
    /// Try again what was refused or held.
    Retry,
}

pub fn run(config: &Path, args: &DecideArgs) -> anyhow::Result<ExitCode> {
    let mut house = super::house(config)?;
    let path = super::store_path(config, &house);
    let store = Store::open(&path).with_context(|| format!("open {}", path.display()))?;
    crate::engine::accounts(&mut house, &store)?;
    let at = now();
    let done = store.write(|tx| {
        let Some(object) = tx.object(args.object)? else { return Ok(None) };
        let name = answer(tx, &house, object, &args.answer)?;
        tx.write_decision(args.object, name, &args.reason, &at)?;
        Ok(tx.object(args.object)?.map(|object| (name, object)))
    })?;
    let Some((name, object)) = done else {
        anyhow::bail!("find object {}: see `kilter status`", args.object)
    };
    if args.json {
        let wait = object.wait.map(|w| json!({ "wait": w.kind.name(), "reason": w.reason }));
        let said = json!({
            "object": object.id, "connection": object.connection, "resource": object.resource,
            "id": object.remote, "answer": name, "reason": args.reason, "at": at,
            "due": object.due.is_some(), "waits": wait,
        });
        println!("{said}");
    } else {
        println!("{name}: noted; `kilter sync` or a running `kilter serve` does it");
    }
    Ok(ExitCode::SUCCESS)
}

fn answer(
    tx: &Tx<'_>,
    house: &kilter_core::sync::house::House,
    mut object: Object,
    answer: &Answer,
) -> crate::store::Result<&'static str> {
    let refuse = |text: &str| Err(crate::store::Error::Refused(text.to_owned()));
    let name = match answer {
        Answer::Link { id } => {
            link(tx, house, object, id)?;
            return Ok("link");
        }
        Answer::CreateAgain => {
            if !permits::decide(tx, house, object.id, None)? {
                return refuse("create it again: it was never sent; say \"retry\"");
            }
            return Ok("create-again");
        }
        Answer::Recreate if object.state == State::Gone => {
            let (at, id) = (now(), object.id);
            let mut world = tx.world()?;
            tx.step(house, &mut world, |w| {
                w.put_object(object.clone());
                existence::recreate(house, w, id, &at);
            })?;
            tx.save(&world)?;
            return Ok("recreate");
        }
        Answer::Recreate => return refuse("recreate it: it is not gone; say \"retry\""),
        Answer::Replace => {
            if !replaced(tx, house, &mut object, replace::REPLACE)? {
                return refuse("replace it: it stands where it should, and in nobody's way");
            }
            "replace"
        }
        Answer::Leave if replaced(tx, house, &mut object, replace::LEAVE)? => "leave",
        Answer::Leave => {
            let record = object.root.map(|id| tx.record(id)).transpose()?.flatten();
            let view = house.view(&object.connection, &object.resource);
            if let (Some(record), Some(view)) = (record, view) {
                lifecycle::leave(&view, &record, &mut object);
            }
            object.due = None;
            object.wait = None;
            "leave"
        }
        Answer::Shop | Answer::Erp => {
            let record = object.root.map(|id| tx.record(id)).transpose()?.flatten();
            if let Some(record) = record {
                object.shadow.insert(BIRTH_ROW.into(), document::birth(&record));
            }
            retry(&mut object);
            if matches!(answer, Answer::Shop) { "shop" } else { "erp" }
        }
        Answer::Retry => {
            object.repairs.clear();
            object.shadow.remove(ROUNDED_ROW);
            object.shadow.remove(DECIDED_ROW);
            retry(&mut object);
            "retry"
        }
    };
    tx.write_objects(std::iter::once(&object))?;
    Ok(name)
}

/// It exists there under this id; what is gone goes by it from now on.
fn link(
    tx: &Tx<'_>,
    house: &kilter_core::sync::house::House,
    mut object: Object,
    id: &str,
) -> crate::store::Result<()> {
    if permits::decide(tx, house, object.id, Some(id))? {
        return Ok(());
    }
    let (mut world, at, this) = (tx.world()?, now(), object.id);
    let gone = object.state == State::Gone;
    if !gone {
        object.remote = Some(id.into());
        object.state = State::Live;
        object.look = Some(tx.last_seq()?);
        retry(&mut object);
    }
    tx.step(house, &mut world, |w| {
        w.put_object(object.clone());
        if gone {
            redirect::redirect(house, w, this, id, &at);
        } else {
            object_bound(house, w, this, &at);
        }
    })?;
    tx.save(&world)
}

/// Was that a question, and is it answered now?
fn replaced(
    tx: &Tx<'_>,
    house: &kilter_core::sync::house::House,
    object: &mut Object,
    word: &str,
) -> crate::store::Result<bool> {
    let Some(view) = house.view(&object.connection, &object.resource) else { return Ok(false) };
    let mut world = tx.world()?;
    let asked = object.clone();
    let said = tx.step(house, &mut world, |w| {
        let mut object = asked.clone();
        replace::decide(&view, w, &mut object, word).then_some(object)
    })?;
    let Some(answered) = said else { return Ok(false) };
    *object = answered;
    retry(object);
    Ok(true)
}

fn retry(object: &mut Object) {
    object.wait = None;
    mark_object(object, &now(), 1);
    if object.wait.is_none() {
        object.wait = Some(Wait { kind: WaitKind::Later, reason: "decided".to_owned() });
    }
}
