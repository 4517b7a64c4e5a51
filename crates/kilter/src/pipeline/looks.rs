//! Looks: reads by id, of what was hinted at, read stale, written uncertainly or must be fresh.
//!
//! Reads   objects that ask for a look.   Writes  changes (merged at once); `gone` for what is not there.
//! Never   takes an unanswered call for an absence.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use kilter_core::Json;
use kilter_core::manifest::{Get, Resource, plain};
use kilter_core::model::{Change, Fault, FaultKind, Object, ObjectId, Via};
use kilter_core::sync::batch::id_json;
use kilter_core::sync::house::View;
use kilter_core::sync::project::{
    Unprojected, id_of, project, remote_of, resource_of, split_remote,
};

use tokio::time::Instant;

use crate::engine::{Engine, now};
use crate::pipeline::poll::vars;
use crate::pipeline::receive::{self, Source};
use crate::store::Result;

/// One call's objects: they share resource, `each` and parent.
type Group = (String, String, String);

/// Serves what asks for a look. Returns how many objects were read.
pub async fn run(engine: &Arc<Engine>, connection: &str) -> Result<usize> {
    if engine.rests(connection) {
        return Ok(0);
    }
    let name = connection.to_owned();
    let limit = engine.house.config.limits.deliver_batch;
    let objects = engine.store.write_async(move |tx| tx.looks(&name, limit)).await?;
    let objects = engine.shy.leave_out(objects, Instant::now());
    if objects.is_empty() {
        return Ok(0);
    }
    let asked: Vec<ObjectId> = objects.iter().map(|o| o.id).collect();
    let unread = read_objects(engine, connection, objects).await?;
    engine.shy.learn(&asked, &unread, Instant::now());
    Ok(asked.len() - unread.len())
}

/// Reads these objects by id. Returns those whose call failed.
pub async fn read_objects(
    engine: &Arc<Engine>,
    connection: &str,
    objects: Vec<Object>,
) -> Result<Vec<ObjectId>> {
    let house = Arc::clone(&engine.house);
    let mut groups: BTreeMap<Group, Vec<Object>> = BTreeMap::new();
    let mut hopeless = Vec::new();
    for object in objects {
        match group(engine, connection, &object).await? {
            Some(key) => groups.entry(key).or_default().push(object),
            None => hopeless.push(object),
        }
    }
    forget(engine, hopeless).await?;
    // As many are under way as the connection allows.
    let mut tasks = tokio::task::JoinSet::new();
    for (group, objects) in groups {
        let view = house.view(connection, &group.0);
        let Some(get) = view.as_ref().and_then(|v| v.resource.get.as_ref()) else { continue };
        for chunk in objects.chunks(get.cap) {
            let (engine, connection) = (Arc::clone(engine), connection.to_owned());
            let (group, chunk) = (group.clone(), chunk.to_vec());
            tasks.spawn(async move { read_group(&engine, &connection, group, chunk).await });
        }
    }
    let mut unread = Vec::new();
    while let Some(read) = tasks.join_next().await {
        let failed = |e| crate::store::Error::Refused(format!("look: {e}"));
        unread.extend(read.map_err(failed)??);
    }
    Ok(unread)
}

/// One call's objects; by smaller calls, where the remote asks for that, or one of them may be why none
/// could be read. Returns those that could not.
async fn read_group(
    engine: &Arc<Engine>,
    connection: &str,
    (resource, each, parent): Group,
    objects: Vec<Object>,
) -> Result<Vec<ObjectId>> {
    let house = Arc::clone(&engine.house);
    let mut unread = Vec::new();
    let Some(view) = house.view(connection, &resource) else { return Ok(unread) };
    let Some(get) = &view.resource.get else { return Ok(unread) };
    // Halves of one chunk come one after the other: of them one is read, and the remote is not ill.
    let mut chunks = VecDeque::from([objects]);
    while let Some(mut chunk) = chunks.pop_front() {
        let asked = !engine.rests(connection);
        let read = match asked {
            true => read_chunk(engine, &view, get, &each, &parent, &chunk).await?,
            false => Chunk::Failed,
        };
        match read {
            Chunk::Read => {}
            Chunk::TooLarge | Chunk::Spoilt if chunk.len() > 1 => {
                let rest = chunk.split_off(chunk.len() / 2);
                chunks.extend([chunk, rest]);
            }
            Chunk::TooLarge | Chunk::Spoilt | Chunk::Failed => {
                unread.extend(chunk.iter().map(|object| object.id));
            }
        }
    }
    Ok(unread)
}

async fn group(engine: &Arc<Engine>, connection: &str, object: &Object) -> Result<Option<Group>> {
    let house = Arc::clone(&engine.house);
    let Some((_, connector)) = house.connector(connection) else { return Ok(None) };
    let readable = |r: &&Resource| r.get.is_some();
    let resource = connector
        .resource(&object.resource)
        .or_else(|| connector.resources_of(&object.collection).find(readable))
        .filter(readable);
    let Some(resource) = resource else { return Ok(None) };
    let has_each = resource.list.as_ref().is_some_and(|l| l.each.is_some());
    let (_, each) = split_remote(object.remote.as_deref().unwrap_or_default(), has_each);
    let by_parent = resource.get.as_ref().is_some_and(|g| g.by_parent);
    let parent = if by_parent {
        parent(engine, connection, resource, object).await?
    } else {
        Some(String::new())
    };
    Ok(parent.map(|p| (resource.name.clone(), each.to_owned(), p)))
}

async fn parent(
    engine: &Arc<Engine>,
    connection: &str,
    resource: &Resource,
    object: &Object,
) -> Result<Option<String>> {
    let house = Arc::clone(&engine.house);
    // Where it stands says it better than where it should.
    let view = house.view(connection, &resource.name);
    if let Some(shown) = view.and_then(|v| kilter_core::sync::replace::shown_parent(&v, object)) {
        return Ok(Some(shown));
    }
    let Some(root) = object.root else { return Ok(None) };
    let (connection, resource) = (connection.to_owned(), resource.name.clone());
    engine
        .store
        .write_async(move |tx| {
            let Some(view) = house.view(&connection, &resource) else { return Ok(None) };
            let mut world = tx.world()?;
            tx.step(&house, &mut world, |w| {
                kilter_core::sync::plan::parent(&view, w, root).ok().flatten().map(|p| plain(&p))
            })
        })
        .await
}

/// What came of one call.
enum Chunk {
    Read,
    /// The remote takes fewer at once.
    TooLarge,
    /// One of them may be why.
    Spoilt,
    Failed,
}

/// What cannot be read by id (no such read, or no parent known) is left to its listing.
async fn forget(engine: &Arc<Engine>, objects: Vec<Object>) -> Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    // As they are now: a merge may have bound one of them since they were asked for.
    let write = move |tx: &crate::store::Tx<'_>| {
        let mut cleared = Vec::new();
        for asked in objects {
            if let Some(object) = tx.object(asked.id)?.filter(|now| now.look == asked.look) {
                cleared.push(Object { look: None, ..object });
            }
        }
        tx.write_objects(cleared.iter())
    };
    engine.store.write_async(write).await
}

async fn read_chunk(
    engine: &Arc<Engine>,
    view: &View<'_>,
    get: &Get,
    each: &str,
    parent: &str,
    objects: &[Object],
) -> Result<Chunk> {
    let has_each = !each.is_empty();
    let ids: Vec<String> = objects
        .iter()
        .map(|o| split_remote(o.remote.as_deref().unwrap_or_default(), has_each).0.to_owned())
        .collect();
    let asked = engine.store.newest();
    let answer = call(engine, view, get, each, parent, &ids).await;
    let items = match understood(view, get, each, answer) {
        Ok(items) => items,
        Err(chunk) => return Ok(chunk),
    };
    let house = Arc::clone(&engine.house);
    let (name, collection) = (view.connection.name.clone(), view.resource.collection.clone());
    let (each, at) = (each.to_owned(), now());
    engine
        .store
        .write_async(move |tx| {
            let (connection, collection) = (name.as_str(), collection.as_str());
            let source =
                Source { connection, collection, each: &each, via: Via::Read, asked, at: &at };
            let mut missing: BTreeSet<String> = ids.into_iter().collect();
            let mut changes: Vec<Change> = Vec::new();
            for item in items {
                let view = resource_of(&house, connection, collection, &item, &each);
                let projected = match view.map(|v| project(&v, &item, &each)) {
                    Some(Ok(projected)) => projected,
                    // It is there, and cannot be taken: its change says why.
                    Some(Err(Unprojected::Cut { id, .. })) => {
                        missing.remove(&id);
                        changes.push(source.change(&remote_of(&id, &each), item));
                        continue;
                    }
                    _ => continue,
                };
                missing.remove(projected.id.as_str());
                changes.push(source.change(&projected.remote, item));
            }
            for id in missing {
                let gone = Source { via: Via::Gone, ..source.clone() };
                changes.push(gone.change(&remote_of(&id, &each), Json::Null));
            }
            let mut world = tx.world()?;
            receive::merge_now(tx, &house, &mut world, changes)?;
            tx.save(&world)
        })
        .await?;
    Ok(Chunk::Read)
}

/// The items of an answer; of none, where the remote says that nothing is there. Err: it says nothing.
fn understood(
    view: &View<'_>,
    get: &Get,
    each: &str,
    answer: std::result::Result<Vec<Json>, Fault>,
) -> std::result::Result<Vec<Json>, Chunk> {
    let (connection, resource) = (&view.connection.name, &view.resource.name);
    let items = match answer {
        Ok(items) => items,
        // Not there: the object itself, or the parent of all of them.
        Err(fault) if fault.kind == FaultKind::Missing && (get.single || get.by_parent) => {
            Vec::new()
        }
        Err(fault) => {
            tracing::info!(connection.id = connection, resource, fault = %fault, "a look failed");
            return Err(match fault.smaller {
                true => Chunk::TooLarge,
                false if fault.unsent || fault.kind.passes() => Chunk::Failed,
                false => Chunk::Spoilt,
            });
        }
    };
    if !items.iter().all(|item| item.is_null() || says_which(view, item, each)) {
        tracing::info!(
            connection.id = connection,
            resource,
            "a look's answer does not say of what"
        );
        return Err(Chunk::Failed);
    }
    Ok(items)
}

/// Does an item of an answer say which one it is? One that does not (an error whose status is 200, a
/// field that was renamed) is not the absence of any.
fn says_which(view: &View<'_>, item: &Json, each: &str) -> bool {
    let (connection, collection) = (&view.connection.name, &view.resource.collection);
    let of = resource_of(view.house, connection, collection, item, each);
    id_of(of.as_ref().unwrap_or(view), item, each).is_some()
}

async fn call(
    engine: &Arc<Engine>,
    view: &View<'_>,
    get: &Get,
    each: &str,
    parent: &str,
    ids: &[String],
) -> std::result::Result<Vec<Json>, Fault> {
    let mut vars = vars(view, each);
    vars.insert("ids".to_owned(), ids.iter().map(|id| id_json(id)).collect());
    if let Some(id) = ids.first() {
        vars.insert("id".to_owned(), id_json(id));
    }
    if !parent.is_empty() {
        vars.insert("parent".to_owned(), id_json(parent));
    }
    let request = get
        .call
        .render(&vars)
        .ok_or_else(|| Fault::new(FaultKind::Rejected, "", "the read lacks a value"))?;
    let answer = engine.send(view, &request).await?;
    let env = view.env(&vars, None);
    match get.items.read(&answer.body, &env) {
        Some(Json::Array(items)) => Ok(match &get.inner {
            Some(inner) => items.iter().filter_map(|item| inner.read(item, &env)).collect(),
            None => items,
        }),
        Some(item) if get.single => Ok(vec![item]),
        _ => Err(Fault::new(FaultKind::Unknown, "", "the read's answer holds no list")),
    }
}
