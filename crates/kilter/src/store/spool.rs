//! The spool: webhooks as they came, in a file beside the database, until the log takes them over.
//!
//! Reads   and writes `<database>-hooks`.
//! Never   waits for the one writer, nor says that it keeps what the disk does not hold; never grows far
//!         past a bound. What was taken over stands in the database together with what was taken.
//!
//! Who sends a webhook waits until it is kept. Behind merges and plans that was as long as those took.
//!
//! ```text
//! file   = head entry* rest   head = "kilter hooks 1 <generation>" and blanks up to HEAD bytes
//! rest   = zeros, entries of an older generation, what was refused: until it is written over, or cut off
//! entry  = "<told> <body> <check>\n" told body "\n"      lengths in bytes; told: JSON of what it is about
//! check  = CRC-32 of generation, told and body: an entry that was torn, or is of an older
//!          generation, ends the file. Of a file that an older Kilter left: BLAKE3
//! ```
//! The database's `meta` holds `hooks = "<generation> <place>"`: what stands before is in its log.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kilter_core::Json;
use kilter_core::model::{Change, Via};
use uuid::Uuid;

use super::group::Turn;
use super::{Error, Result, Store, Tx};
use crate::crash;

/// Bytes that it grows to; beyond, senders are told to send again.
const SPOOL_MAX: u64 = 1 << 30;

/// What was all taken over is written over from the beginning, once the file is so long; and as much of
/// it stays.
const REWIND_FROM: u64 = 16 << 20;

/// A write that is so short makes the file longer by so many bytes than it needs: what follows is written
/// over them, and waits for its bytes alone, not for a new length of the file as well.
const SHORT: u64 = 64 << 10;
const ROOM: usize = 256 << 10;

/// Webhooks, and their bytes, that one transaction takes over.
const TAKEN_MAX: usize = 1_000;
const TAKEN_BYTES_MAX: usize = 8 << 20;

/// Bytes of the line before an entry, at most.
const LINE_MAX: u64 = 128;

/// A check of an older Kilter is so long.
const BLAKE3_DIGITS: usize = 64;

const READ_AT_ONCE: usize = 64 << 10;

const HEAD: u64 = 64;
const TITLE: &str = "kilter hooks 1 ";

/// Which key of `meta` says what was taken over.
const TAKEN: &str = "hooks";

/// A place in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    generation: String,
    at: u64,
}

impl Place {
    /// As `meta` holds it.
    fn text(&self) -> String {
        format!("{} {}", self.generation, self.at)
    }
}

#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    /// Held while bytes are written.
    own: Mutex<Option<Own>>,
    /// Held for a moment: whoever asks how far it goes waits for no disk, nor for a burst to end.
    stand: Mutex<Option<Stand>>,
}

/// The file, while this process appends to it.
#[derive(Debug)]
struct Own {
    file: File,
    generation: String,
    end: u64,
    /// Bytes that the file has. What stands behind the end says nothing.
    length: u64,
    /// The head on disk is this generation's: not where a rewind failed in the middle.
    sound: bool,
    /// What is written at once; kept, since the system clears each page that it gives.
    bytes: Vec<u8>,
}

/// How far the file goes that this process appends to.
#[derive(Debug, Clone)]
struct Stand {
    generation: String,
    end: u64,
    /// Up to here the database's log has all, for good.
    taken: u64,
}

/// What is kept of it between two writes, at most.
const BUFFER_MAX: usize = 4 << 20;

impl Spool {
    pub fn beside(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-hooks");
        Self { path: path.into(), own: Mutex::default(), stand: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Own>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stand(&self) -> MutexGuard<'_, Option<Stand>> {
        self.stand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is all that stands before a place in the log, for good?
    fn all_taken(&self, end: u64) -> bool {
        self.stand().as_ref().is_some_and(|stand| stand.taken == end)
    }

    /// The file, if no other process appends to it.
    fn claim(&self) -> Result<Option<File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&self.path).map_err(|e| self.refused("open", &e))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(self.refused("lock", &e)),
        }
    }

    /// Keeps webhooks. False: nobody appends here, they go to the log itself.
    pub fn append(&self, said: &[(Change, String)]) -> Result<bool> {
        let mut own = self.lock();
        let Some(own) = own.as_mut() else { return Ok(false) };
        if !own.sound || (own.end >= REWIND_FROM && self.all_taken(own.end)) {
            self.rewind(own, REWIND_FROM)?;
        }
        own.bytes.clear();
        own.bytes.shrink_to(BUFFER_MAX);
        for (change, text) in said {
            entry(&own.generation, change, text, &mut own.bytes);
        }
        let more = u64::try_from(own.bytes.len()).unwrap_or(u64::MAX);
        if own.end.saturating_add(more) > SPOOL_MAX {
            return Err(Error::Refused(format!("keep more webhooks: {SPOOL_MAX} bytes wait")));
        }
        crash::point("before webhooks are kept", "");
        own.write().map_err(|e| self.refused("write", &e))?;
        crash::point("after webhooks are kept", "");
        own.end += more;
        if let Some(stand) = self.stand().as_mut() {
            stand.end = own.end;
        }
        Ok(true)
    }

    /// What was taken over is not kept here as well, longer than the log keeps it.
    fn let_go(&self) -> Result<()> {
        let mut own = self.lock();
        let Some(own) = own.as_mut().filter(|own| own.length > HEAD) else { return Ok(()) };
        if self.all_taken(own.end) {
            return self.rewind(own, HEAD);
        }
        // What an older generation left behind the end.
        own.cut(own.end).map_err(|e| self.refused("cut", &e))
    }

    /// A new generation begins, and at most so many bytes of the file stay.
    fn rewind(&self, own: &mut Own, most: u64) -> Result<()> {
        own.rewind(most).map_err(|e| self.refused("rewind", &e))?;
        let (generation, end) = (own.generation.clone(), own.end);
        *self.stand() = Some(Stand { generation, end, taken: end });
        Ok(())
    }

    /// Does anything wait to be taken over?
    pub fn waits(&self) -> bool {
        self.stand().as_ref().is_some_and(|stand| stand.taken < stand.end)
    }

    /// A transaction that took over up to here was committed.
    pub fn taken(&self, place: &Place) {
        let mut stand = self.stand();
        if let Some(stand) = stand.as_mut().filter(|s| s.generation == place.generation) {
            stand.taken = stand.taken.max(place.at);
        }
    }

    /// What stands there from a place on, as far as one transaction takes it, and the place behind.
    fn read(&self, known: Option<&str>) -> Result<(Vec<(Change, String)>, Place)> {
        let stand = self.stand().clone();
        let nothing = |generation: &str| {
            Ok((Vec::new(), Place { generation: generation.to_owned(), at: HEAD }))
        };
        let Ok(file) = File::open(&self.path) else { return nothing("") };
        let mut file = BufReader::with_capacity(READ_AT_ONCE, file);
        let mut head = Vec::new();
        if file.by_ref().take(HEAD).read_to_end(&mut head).is_err() {
            return nothing("");
        }
        let head = String::from_utf8_lossy(&head);
        let Some(generation) = head.strip_prefix(TITLE).map(str::trim_end) else {
            return nothing("");
        };
        let until = match stand {
            // It begins anew at this moment.
            Some(stand) if stand.generation != generation => return nothing(""),
            // What stands behind was refused: the next webhook is written over it.
            Some(stand) => stand.end,
            None => u64::MAX,
        };
        let known = known.and_then(|text| text.split_once(' '));
        let known = known.filter(|(of, _)| *of == generation).and_then(|(_, at)| at.parse().ok());
        let mut place = Place { generation: generation.to_owned(), at: known.unwrap_or(HEAD) };
        let (mut out, mut bytes) = (Vec::new(), 0);
        if let Err(e) = file.seek(SeekFrom::Start(place.at)) {
            return Err(self.refused("read", &e));
        }
        while place.at < until && out.len() < TAKEN_MAX && bytes < TAKEN_BYTES_MAX {
            let Some((said, length)) = entry_at(&mut file, generation) else { break };
            out.push(said);
            place.at += u64::try_from(length).unwrap_or(0);
            bytes += length;
        }
        Ok((out, place))
    }

    /// How many stand there behind what was taken over. Reads alone: whoever appends goes on.
    fn waiting(&self, known: Option<&str>) -> Result<u64> {
        let (mut known, mut all) = (known.map(str::to_owned), 0);
        loop {
            let (said, place) = self.read(known.as_deref())?;
            if said.is_empty() {
                return Ok(all);
            }
            all += u64::try_from(said.len()).unwrap_or(0);
            known = Some(place.text());
        }
    }

    fn refused(&self, what: &str, error: &std::io::Error) -> Error {
        Error::Refused(format!("{what} {}: {error}", self.path.display()))
    }
}

impl Own {
    /// A new generation begins; what an older one left behind does not count any more, and at most so
    /// many bytes of the file stay.
    fn rewind(&mut self, most: u64) -> std::io::Result<()> {
        self.sound = false;
        let generation = Uuid::now_v7().simple().to_string();
        let width = usize::try_from(HEAD).unwrap_or(0);
        let head = format!("{:<width$}", format!("{TITLE}{generation}"));
        write_at(&self.file, 0, head.as_bytes())?;
        // Whatever became of it: what is of an older generation says nothing any more.
        self.cut(most)?;
        (self.generation, self.end) = (generation, HEAD);
        self.sound = true;
        Ok(())
    }

    /// At most so many bytes of the file stay.
    fn cut(&mut self, most: u64) -> std::io::Result<()> {
        if self.length > most {
            self.file.set_len(most)?;
            self.length = most;
        }
        Ok(())
    }

    /// Writes `bytes` at the end, with room behind them if they are short and it grows.
    fn write(&mut self) -> std::io::Result<()> {
        let wanted = self.bytes.len();
        let more = u64::try_from(wanted).unwrap_or(u64::MAX);
        if more <= SHORT && self.end + more > self.length {
            self.bytes.resize(wanted + ROOM, 0);
            match write_at(&self.file, self.end, &self.bytes) {
                // What is nearly full may still have room for a webhook.
                Err(error) if error.kind() == ErrorKind::StorageFull => self.bytes.truncate(wanted),
                Err(error) => return Err(error),
                Ok(()) => {
                    self.length = self.end + more + u64::try_from(ROOM).unwrap_or(0);
                    return Ok(());
                }
            }
        }
        write_at(&self.file, self.end, &self.bytes)?;
        self.length = self.length.max(self.end + more);
        Ok(())
    }
}

/// Writes, and waits until it lasts.
fn write_at(mut file: &File, place: u64, bytes: &[u8]) -> std::io::Result<()> {
    file.seek(SeekFrom::Start(place))?;
    file.write_all(bytes)?;
    file.sync_data()
}

fn check(generation: &str, told: &[u8], body: &[u8]) -> String {
    let mut sum = crc32fast::Hasher::new();
    [generation.as_bytes(), told, body].iter().for_each(|part| sum.update(part));
    format!("{:08x}", sum.finalize())
}

fn is_whole(wanted: &str, generation: &str, told: &[u8], body: &[u8]) -> bool {
    if wanted.len() < BLAKE3_DIGITS {
        return check(generation, told, body) == wanted;
    }
    let mut hash = blake3::Hasher::new();
    hash.update(generation.as_bytes()).update(told).update(body);
    hash.finalize().to_hex().as_str() == wanted
}

fn entry(generation: &str, change: &Change, text: &str, out: &mut Vec<u8>) {
    let Change { connection, collection, remote, each, at, .. } = change;
    let told = serde_json::json!([connection, collection, remote, each, at]).to_string();
    let check = check(generation, told.as_bytes(), text.as_bytes());
    out.extend_from_slice(format!("{} {} {check}\n", told.len(), text.len()).as_bytes());
    out.extend_from_slice(told.as_bytes());
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

/// None: nothing more stands there.
fn entry_at(file: &mut BufReader<File>, generation: &str) -> Option<((Change, String), usize)> {
    let mut line = Vec::new();
    file.by_ref().take(LINE_MAX).read_until(b'\n', &mut line).ok()?;
    let text = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let mut parts = text.split(' ');
    let (told, body): (u64, u64) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let (wanted, length) = (parts.next()?, told.checked_add(body)?.checked_add(1)?);
    let mut bytes = Vec::new();
    file.by_ref().take(length.min(SPOOL_MAX)).read_to_end(&mut bytes).ok()?;
    let (told, rest) = bytes.split_at_checked(usize::try_from(told).ok()?)?;
    let body = rest.strip_suffix(b"\n")?;
    if u64::try_from(bytes.len()).ok()? != length || !is_whole(wanted, generation, told, body) {
        return None;
    }
    let [connection, collection, remote, each, at] = serde_json::from_slice(told).ok()?;
    let (seq, asked, via) = (0, 0, Via::Hook);
    let text = String::from_utf8_lossy(body).into_owned();
    let body = Json::Null;
    let change = Change { seq, connection, collection, remote, each, via, asked, body, at };
    Some(((change, text), line.len() + bytes.len()))
}

impl Tx<'_> {
    /// Appends what waits in the spool to the log: how much that was, and up to where.
    pub fn take_over(&self, spool: &Spool) -> Result<(usize, Place)> {
        let known = self.meta(TAKEN)?;
        let (mut said, place) = spool.read(known.as_deref())?;
        if !said.is_empty() {
            self.append_said(&mut said)?;
            self.hear(said.iter().map(|(change, _)| change))?;
            self.set_meta(TAKEN, &place.text())?;
        }
        Ok((said.len(), place))
    }

    /// Webhooks beside this database that are not in its log yet; also of a process that died.
    pub fn webhooks_waiting(&self) -> Result<u64> {
        let Some(path) = self.sql.path().filter(|path| !path.is_empty()) else { return Ok(0) };
        Spool::beside(Path::new(path)).waiting(self.meta(TAKEN)?.as_deref())
    }
}

impl Store {
    /// Where webhooks wait to be taken over; none beside a database in memory, or one that is only read.
    pub fn spool(&self) -> Option<Arc<Spool>> {
        self.spool.clone()
    }

    /// Lets go of webhooks that the log has.
    pub fn let_go_of_webhooks(&self) -> Result<()> {
        self.spool.as_ref().map_or(Ok(()), |spool| spool.let_go())
    }

    /// Takes over what a process that died left in the spool. One that lives does it itself.
    pub(super) fn recover(&self) -> Result<()> {
        let Some(spool) = self.spool.as_ref().filter(|spool| spool.path.exists()) else {
            return Ok(());
        };
        match spool.claim()? {
            Some(file) => {
                self.take_over_all(spool)?;
                // All of it is in the log, for good.
                file.set_len(HEAD).map_err(|e| spool.refused("cut", &e))
            }
            None => Ok(()),
        }
    }

    fn take_over_all(&self, spool: &Spool) -> Result<()> {
        while self.write(|tx| tx.take_over(spool))?.0 > 0 {}
        Ok(())
    }

    /// From now on this process keeps webhooks beside the writer, unless another one does.
    pub fn take_webhooks(&self) -> Result<()> {
        let Some(spool) = &self.spool else { return Ok(()) };
        let Some(file) = spool.claim()? else { return Ok(()) };
        // Nobody else appends any more, and all that was kept is in the log.
        self.take_over_all(spool)?;
        let length = file.metadata().map_err(|e| spool.refused("measure", &e))?.len();
        let (generation, bytes) = (String::new(), Vec::new());
        let mut own = Own { file, generation, end: 0, length, sound: false, bytes };
        spool.rewind(&mut own, HEAD)?;
        *spool.lock() = Some(own);
        Ok(())
    }

    /// Keeps webhooks: once this comes back, they last. A remote waits for it: it goes next.
    pub fn keep_said(&self, mut said: Vec<(Change, String)>) -> Result<()> {
        if let Some(spool) = &self.spool
            && spool.append(&said)?
        {
            return Ok(());
        }
        self.in_line((true, Turn::Write), |tx| {
            tx.append_said(&mut said)?;
            tx.hear(said.iter().map(|(change, _)| change))
        })
    }
}

#[cfg(test)]
mod tests;
