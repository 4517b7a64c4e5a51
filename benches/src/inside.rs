//! One stage of Kilter by itself, out of its library: a house from a folder, an engine, no loops.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use kilter::engine::Engine;
use kilter::store::Store;

/// An engine on the folder's config and a database. Nothing polls, merges or delivers by itself.
pub async fn engine(folder: &Path, database: &Path) -> Result<Arc<Engine>> {
    let mut problems = Vec::new();
    let mut house = kilter::catalog::load(&folder.join("kilter.toml"), &mut problems)?;
    ensure!(problems.is_empty(), "use the config: {problems:?}");
    let store = Store::open(database)?;
    kilter::engine::since(&mut house, &store)?;
    Ok(Arc::new(Engine::start(house, store).await?))
}
