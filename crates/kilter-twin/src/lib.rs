//! Simulators of the platforms ("twins"), written from the platforms' facts.
//!
//! Reads   nothing of the other crates, so that it can contradict a connector.
//! Writes  only its own memory; posts the webhooks it was asked to send.
//! Never   is called a mock or a platform: it is a twin, and says so on its first line of output.

mod edge;
pub mod faults;
pub mod odoo;
pub mod scenario;
pub mod shopify;
pub mod woocommerce;

use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The twins there are.
pub const NAMES: &[&str] = &["odoo", "shopify", "woocommerce"];

/// The faults that the twin of that name can be asked for.
pub fn faults_of(name: &str) -> Vec<&'static str> {
    match name {
        "odoo" => odoo::FAULTS.names(),
        "shopify" => shopify::FAULTS.names(),
        "woocommerce" => woocommerce::FAULTS.names(),
        _ => Vec::new(),
    }
}

/// Starts the twin of that name.
pub async fn start(name: &str, options: Options) -> Result<Running, Error> {
    match name {
        "odoo" => odoo::start(options).await,
        "shopify" => shopify::start(options).await,
        "woocommerce" => woocommerce::start(options).await,
        other => Err(Error::UnknownTwin(other.to_owned())),
    }
}

/// How a twin is started. `settings` are the twin's own (`currency`, `locale`, …), each with a
/// default; an unknown one is an error that names the known ones.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// 0 or absent: a free port. Loopback only.
    pub port: Option<u16>,
    pub seed: u64,
    pub settings: BTreeMap<String, String>,
}

/// A twin that listens. Dropping it stops it.
#[derive(Debug)]
pub struct Running {
    pub name: &'static str,
    pub address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    pub fn new(name: &'static str, address: SocketAddr, task: tokio::task::JoinHandle<()>) -> Self {
        Self { name, address, task }
    }
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("start the twin \"{0}\": there is none of that name")]
    UnknownTwin(String),
    #[error("start the twin: unknown setting \"{0}\" (known: {1})")]
    UnknownSetting(String, String),
    #[error("start the twin: setting \"{0}\": {1}")]
    BadSetting(String, String),
    #[error("start the twin: listen")]
    Listen(#[from] std::io::Error),
}
