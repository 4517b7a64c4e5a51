//! Kilter as a merchant runs it: a folder with a config, the program as a child.
//!
//! Reads   the program beside this one (`KILTER_BIN` names another).
//! Writes  a folder below the system's temporary one; removed at the end.
//! Never   leaves a child running.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// The stockroom's connector lies beside the config, as a merchant's own does.
const STOCKROOM: [(&str, &str); 4] = [
    ("connector.toml", include_str!("../connectors/stockroom/connector.toml")),
    ("articles.toml", include_str!("../connectors/stockroom/articles.toml")),
    ("items.toml", include_str!("../connectors/stockroom/items.toml")),
    ("stock.toml", include_str!("../connectors/stockroom/stock.toml")),
];

/// What signs the stockroom's webhooks.
pub const SECRET: &str = "hush";

/// Longest wait for the program to answer.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Rig {
    pub folder: PathBuf,
    pub listen: SocketAddr,
}

impl Rig {
    /// A folder of its own, and a port that is free.
    pub fn new(name: &str) -> Result<Self> {
        let folder =
            std::env::temp_dir().join(format!("kilter-bench-{name}-{}", std::process::id()));
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        let own = folder.join("connectors/stockroom");
        std::fs::create_dir_all(&own)?;
        for (file, text) in STOCKROOM {
            std::fs::write(own.join(file), text)?;
        }
        let listen = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        Ok(Self { folder, listen })
    }

    /// Writes the config: the stockroom owns everything, the shop shows it.
    pub fn config(&self, url: &str, more: &str) -> Result<()> {
        self.config_with(url, url, more)
    }

    /// The same with a shop somewhere else.
    pub fn config_with(&self, stockroom: &str, shop: &str, more: &str) -> Result<()> {
        let text = CONFIG.replace("{listen}", &self.listen.to_string());
        let text = text.replace("{url}", stockroom).replace("{shop}", shop);
        std::fs::write(self.folder.join("kilter.toml"), format!("{text}{more}"))?;
        Ok(())
    }

    /// Writes a config that says everything itself but where it listens: `{listen}`.
    pub fn config_of(&self, text: &str) -> Result<()> {
        let text = text.replace("{listen}", &self.listen.to_string());
        std::fs::write(self.folder.join("kilter.toml"), text)?;
        Ok(())
    }

    pub fn database(&self) -> PathBuf {
        self.folder.join("kilter.sqlite")
    }

    pub fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(program()?);
        command.arg("--config").arg(self.folder.join("kilter.toml")).args(args);
        command.current_dir(&self.folder).stdin(Stdio::null());
        Ok(command)
    }

    /// Runs a command to its end; what it said.
    pub async fn run(&self, args: &[&str]) -> Result<String> {
        let mut command = self.command(args)?;
        let out = tokio::task::spawn_blocking(move || command.output()).await??;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let told = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "run kilter {args:?}: {text}{told}");
        Ok(text)
    }

    /// The same; how long it took, and the most bytes that were resident.
    pub async fn measured(&self, args: &[&str]) -> Result<(Duration, u64)> {
        let log = std::fs::File::create(self.folder.join("run.log"))?;
        let mut command = self.command(args)?;
        let started = Instant::now();
        let mut running = Running(command.stdout(Stdio::null()).stderr(log).spawn()?);
        let mut most = 0;
        loop {
            if let Some(status) = running.0.try_wait()? {
                ensure!(status.success(), "run kilter {args:?}: see its run.log");
                return Ok((started.elapsed(), most));
            }
            // What just ended has no memory to tell of.
            most = most.max(running.memory().map_or(0, |(_, most)| most));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Serves, and comes back when it answers: and after how long.
    pub async fn serve(&self) -> Result<(Running, Duration)> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("serve.log"))?;
        let mut command = self.command(&["serve"])?;
        let started = Instant::now();
        let child = command.stdout(Stdio::null()).stderr(log).spawn()?;
        let mut running = Running(child);
        running.answers(self.listen).await?;
        Ok((running, started.elapsed()))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::env::var_os("KILTER_BENCH_KEEP").is_none() {
            // Nothing is measured any more: what stays is the system's to remove.
            std::fs::remove_dir_all(&self.folder).ok();
        }
    }
}

/// The program under test.
pub fn program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("KILTER_BIN") {
        return Ok(path.into());
    }
    let mine = std::env::current_exe()?;
    let path = mine.with_file_name("kilter");
    ensure!(path.is_file(), "find {}: cargo build --release -p kilter", path.display());
    Ok(path)
}

/// A child that is killed when it is dropped.
#[derive(Debug)]
pub struct Running(pub Child);

impl Running {
    /// Waits until it takes connections.
    pub async fn answers(&mut self, address: SocketAddr) -> Result<()> {
        let started = Instant::now();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            ensure!(self.0.try_wait()?.is_none(), "the child ended: see its serve.log");
            ensure!(started.elapsed() < PATIENCE, "the child does not answer");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// As the power goes: no handler runs.
    pub fn kill(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// Bytes of memory that are resident, and the most there ever were.
    pub fn memory(&self) -> Result<(u64, u64)> {
        let path = format!("/proc/{}/status", self.0.id());
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let of = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
        };
        Ok((of("VmRSS:").context("read VmRSS")?, of("VmHWM:").context("read VmHWM")?))
    }

    /// Seconds of processor time that it used.
    pub fn cpu(&self) -> Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let rest = text.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = rest.split_whitespace().skip(11).take(2).flat_map(str::parse::<u64>).sum();
        Ok(ticks as f64 / TICKS)
    }
}

/// Of a second, on Linux.
const TICKS: f64 = 100.0;

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

const CONFIG: &str = r#"
locations = ["main"]

[kilter]
store = "kilter.sqlite"
listen = "{listen}"

[price_list.retail]
currency = "EUR"
tax = "included"

[connection.stockroom]
connector = "stockroom"
url = "{url}"
webhook_secret = "hush"
locale = "en_US"
currency = "EUR"
price_list = "retail"

[connection.shop]
connector = "woocommerce"
url = "{shop}"
consumer_key = "ck_test"
consumer_secret = "cs_test"
locale = "en_US"
currency = "EUR"
price_list = "retail"
locations = ["main"]
[connection.shop.lookup.taxes]
"19" = "1"

[own.product]
"*" = "stockroom"
[own.variant]
"*" = "stockroom"
[own.price]
"*" = "stockroom"
[own.stock]
"*" = "stockroom"
[own.order]
"*" = "origin"
[own.customer]
"*" = "origin"
[own.refund]
"*" = "origin"
[own.shipment]
"*" = "origin"
"#;
