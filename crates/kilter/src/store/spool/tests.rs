//! Laws of the spool: kept, taken over once, torn, refused, counted; whoever dies.

use kilter_core::model::Text;

use super::*;

fn said(n: usize) -> (Change, String) {
    let (connection, collection) = ("shop".into(), "orders".into());
    let (each, via, at) = (Text::default(), Via::Hook, "2026-11-28T10:00:00Z".into());
    let (seq, asked, remote, body) = (0, 0, n.to_string().into(), Json::Null);
    let change = Change { seq, connection, collection, remote, each, via, asked, body, at };
    (change, format!("{{\"id\":{n},\"note\":\"a\\nline\"}}"))
}

fn keep(store: &Store, from: usize, to: usize) {
    let all: Vec<_> = (from..to).map(said).collect();
    assert!(store.spool().unwrap().append(&all).unwrap());
}

fn log(store: &Store) -> Vec<String> {
    let (mut out, mut last) = (Vec::new(), 0);
    loop {
        let open = store.read(|tx| tx.open_changes(last, 10_000)).unwrap();
        let Some(change) = open.changes.last() else { return out };
        last = change.seq;
        out.extend(open.texts);
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("kilter-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A store whose webhooks are kept beside it.
fn serving(name: &str) -> (PathBuf, Store) {
    let folder = folder(name);
    let store = Store::open(&folder.join("k.sqlite")).unwrap();
    store.take_webhooks().unwrap();
    (folder, store)
}

fn texts(n: usize) -> Vec<String> {
    (0..n).map(|n| said(n).1).collect()
}

#[test]
fn what_was_kept_is_taken_over_once_whoever_dies() {
    let (folder, store) = serving("spool");
    let path = folder.join("k.sqlite");
    keep(&store, 0, 3);
    let spool = store.spool().unwrap();
    // Taken over, and the process dies before it says so.
    assert_eq!(store.write(|tx| tx.take_over(&spool)).unwrap().0, 3);
    keep(&store, 3, 5);
    drop((spool, store));
    let store = Store::open(&path).unwrap();
    assert_eq!(log(&store), texts(5));
    store.take_webhooks().unwrap();
    keep(&store, 5, 6);
    drop(store);
    assert_eq!(log(&Store::open(&path).unwrap()), texts(6));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_a_dead_process_left_is_counted_by_who_only_reads() {
    let (folder, store) = serving("counted");
    let path = folder.join("k.sqlite");
    let count = || {
        let store = Store::open_read_only(&path).unwrap();
        store.read(|tx| tx.webhooks_waiting()).unwrap()
    };
    assert_eq!(count(), 0);
    keep(&store, 0, TAKEN_MAX + 5);
    let spool = store.spool().unwrap();
    assert_eq!(count(), 1_005, "beside one that lives, more than are taken over at once");
    assert_eq!(store.write(|tx| tx.take_over(&spool)).unwrap().0, TAKEN_MAX);
    drop((spool, store));
    let file = folder.join("k.sqlite-hooks");
    let before = std::fs::read(&file).unwrap();
    assert_eq!(count(), 5, "what is in the log waits no more");
    assert_eq!(std::fs::read(&file).unwrap(), before, "nothing is written");
    drop(Store::open(&path).unwrap());
    assert_eq!(count(), 0, "who writes takes them over");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_torn_entry_ends_the_file_and_an_undone_transaction_takes_nothing() {
    let (folder, store) = serving("torn");
    let path = folder.join("k.sqlite");
    keep(&store, 0, 4);
    let spool = store.spool().unwrap();
    let undone = store.write(|tx| {
        tx.take_over(&spool)?;
        Err::<(), _>(Error::Refused("no".to_owned()))
    });
    assert!(undone.is_err());
    let file = folder.join("k.sqlite-hooks");
    let length = spool.lock().as_ref().unwrap().end;
    drop((spool, store));
    // The last one was never acknowledged: half of it is there.
    OpenOptions::new().write(true).open(&file).unwrap().set_len(length - 9).unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(log(&store), texts(3));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_an_older_generation_left_behind_does_not_count() {
    let (folder, store) = serving("rewound");
    keep(&store, 0, 4);
    let spool = store.spool().unwrap();
    let (n, place) = store.write(|tx| tx.take_over(&spool)).unwrap();
    spool.taken(&place);
    assert_eq!((n, spool.waits()), (4, false));
    let file = folder.join("k.sqlite-hooks");
    let left = std::fs::read(&file).unwrap();
    store.let_go_of_webhooks().unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().len(), HEAD);
    // As where the file could not be cut: its old entries stand behind the new head.
    let head = std::fs::read(&file).unwrap();
    std::fs::write(&file, [&head[..], &left[head.len()..]].concat()).unwrap();
    assert_eq!(store.write(|tx| tx.take_over(&spool)).unwrap().0, 0);
    keep(&store, 4, 5);
    assert_eq!(store.write(|tx| tx.take_over(&spool)).unwrap().0, 1);
    assert_eq!(log(&store), texts(5));
    std::fs::remove_dir_all(&folder).unwrap();
}

fn take_all(store: &Store) -> usize {
    let spool = store.spool().unwrap();
    let mut all = 0;
    loop {
        let (n, place) = store.write(|tx| tx.take_over(&spool)).unwrap();
        spool.taken(&place);
        all += n;
        if n == 0 {
            return all;
        }
    }
}

/// One after the other, each in room that the first one made; then over what stands there already, entry
/// for entry as long as the old ones: the check alone tells of which generation the next one is.
#[test]
fn what_is_written_over_old_bytes_is_kept_and_what_is_left_of_them_is_not() {
    let (folder, store) = serving("room");
    let path = folder.join("k.sqlite");
    let spool = store.spool().unwrap();
    let file = folder.join("k.sqlite-hooks");
    let length = || std::fs::metadata(&file).unwrap().len();
    keep(&store, 10, 11);
    let room = length();
    assert!(room >= HEAD + u64::try_from(ROOM).unwrap());
    (11..60).for_each(|n| keep(&store, n, n + 1));
    assert_eq!(length(), room, "it does not grow");
    let (large, body) = (said(60).0, format!("\"{}\"", "x".repeat(1 << 20)));
    for _ in 0..16 {
        assert!(spool.append(&[(large.clone(), body.clone())]).unwrap());
    }
    assert_eq!(take_all(&store), 66);
    // All was taken over, and it is long: it begins anew where it stands.
    (70..80).for_each(|n| keep(&store, n, n + 1));
    let end = spool.lock().as_ref().unwrap().end;
    let old = std::fs::read(&file).unwrap();
    assert_eq!(length(), REWIND_FROM);
    let left = String::from_utf8_lossy(&old[usize::try_from(end).unwrap()..][..300]).into_owned();
    assert!(left.contains("[\"shop\",\"orders\",\"20\""), "no old entry begins here: {left}");
    drop((spool, store));
    let store = Store::open(&path).unwrap();
    let wanted: Vec<String> = (10..60).chain(70..80).map(|n| said(n).1).collect();
    let found: Vec<String> = log(&store).into_iter().filter(|text| *text != body).collect();
    assert_eq!(found, wanted, "each once");
    assert_eq!(length(), HEAD, "what a dead process left is in the log alone");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_was_taken_over_is_let_go_of_while_others_wait() {
    let (folder, store) = serving("lingers");
    let spool = store.spool().unwrap();
    let file = folder.join("k.sqlite-hooks");
    let length = || std::fs::metadata(&file).unwrap().len();
    let anew = || spool.rewind(spool.lock().as_mut().unwrap(), REWIND_FROM).unwrap();
    keep(&store, 0, 50);
    assert_eq!(take_all(&store), 50);
    anew();
    keep(&store, 50, 51);
    store.let_go_of_webhooks().unwrap();
    assert_eq!(length(), spool.lock().as_ref().unwrap().end, "nothing old stands behind it");
    assert_eq!(take_all(&store), 1);
    anew();
    assert!(length() > HEAD);
    store.let_go_of_webhooks().unwrap();
    assert_eq!(length(), HEAD, "also where a new generation has nothing yet");
    keep(&store, 51, 52);
    assert_eq!(take_all(&store), 1);
    assert_eq!(log(&store), texts(52));
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A disk that filled up in the middle of a batch left a whole entry behind; taken over, the place
/// lay past the next webhook, which was acknowledged and never seen.
#[test]
fn what_a_failed_write_left_behind_hides_no_webhook() {
    let (folder, store) = serving("failed");
    let path = folder.join("k.sqlite");
    keep(&store, 0, 2);
    let spool = store.spool().unwrap();
    let (end, mut left) = (spool.lock().as_ref().unwrap().end, Vec::new());
    let (change, text) = said(7);
    entry(&spool.lock().as_ref().unwrap().generation, &change, &text, &mut left);
    let file = OpenOptions::new().write(true).open(folder.join("k.sqlite-hooks")).unwrap();
    write_at(&file, end, &left).unwrap();
    let (n, place) = store.write(|tx| tx.take_over(&spool)).unwrap();
    assert_eq!((n, place.at), (2, end));
    // Another process that opens the database leaves the spool to this one.
    drop(Store::open(&path).unwrap());
    spool.taken(&place);
    keep(&store, 2, 3);
    assert_eq!(store.write(|tx| tx.take_over(&spool)).unwrap().0, 1);
    assert_eq!(log(&store), texts(3));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_rewind_that_failed_is_done_again_before_anything_is_kept() {
    let (folder, store) = serving("unsound");
    keep(&store, 0, 1);
    let spool = store.spool().unwrap();
    let (_, place) = store.write(|tx| tx.take_over(&spool)).unwrap();
    spool.taken(&place);
    // As where the new head is on disk, and what came after it failed.
    let before = spool.lock().as_ref().unwrap().generation.clone();
    if let Some(own) = spool.lock().as_mut() {
        own.rewind(HEAD).unwrap();
        (own.generation, own.sound) = (before, false);
    }
    keep(&store, 1, 2);
    assert_eq!(store.write(|tx| tx.take_over(&spool)).unwrap().0, 1);
    assert_eq!(log(&store), texts(2));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn one_process_appends_the_other_goes_to_the_log() {
    let folder = folder("two");
    let path = folder.join("k.sqlite");
    let (one, other) = (Store::open(&path).unwrap(), Store::open(&path).unwrap());
    one.take_webhooks().unwrap();
    other.take_webhooks().unwrap();
    keep(&one, 0, 1);
    assert!(!other.spool().unwrap().append(&[said(1)]).unwrap());
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Once the check was BLAKE3: what such a file holds is no less kept.
#[test]
fn a_file_that_an_older_kilter_left_is_taken_over_and_one_bit_ends_it() {
    for (name, torn, left) in [("older", false, 2), ("older-torn", true, 1)] {
        let folder = folder(name);
        let path = folder.join("k.sqlite");
        drop(Store::open(&path).unwrap());
        let mut bytes = format!("{:<64}", format!("{TITLE}abc")).into_bytes();
        for n in 0..2 {
            let (_, text) = said(n);
            let told = format!("[\"shop\",\"orders\",\"{n}\",\"\",\"2026-11-28T10:00:00Z\"]");
            let check = blake3::hash(format!("abc{told}{text}").as_bytes()).to_hex();
            let entry = format!("{} {} {check}\n{told}{text}\n", told.len(), text.len());
            bytes.extend_from_slice(entry.as_bytes());
        }
        if torn {
            let last = bytes.len() - 3;
            bytes[last] ^= 1;
        }
        std::fs::write(folder.join("k.sqlite-hooks"), bytes).unwrap();
        assert_eq!(log(&Store::open(&path).unwrap()), texts(left));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
