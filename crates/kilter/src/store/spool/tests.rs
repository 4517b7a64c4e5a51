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
    store.read(|tx| tx.open_changes(0, 10_000)).unwrap().texts
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("kilter-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn texts(n: usize) -> Vec<String> {
    (0..n).map(|n| said(n).1).collect()
}

#[test]
fn what_was_kept_is_taken_over_once_whoever_dies() {
    let folder = folder("spool");
    let path = folder.join("k.sqlite");
    let store = Store::open(&path).unwrap();
    store.take_webhooks().unwrap();
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
    let folder = folder("counted");
    let path = folder.join("k.sqlite");
    let store = Store::open(&path).unwrap();
    store.take_webhooks().unwrap();
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
    let folder = folder("torn");
    let path = folder.join("k.sqlite");
    let store = Store::open(&path).unwrap();
    store.take_webhooks().unwrap();
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
    let folder = folder("rewound");
    let path = folder.join("k.sqlite");
    let store = Store::open(&path).unwrap();
    store.take_webhooks().unwrap();
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

/// One after the other, each in room that the first one made; then over what stands there already.
#[test]
fn what_is_written_over_old_bytes_is_kept_as_well() {
    let folder = folder("room");
    let path = folder.join("k.sqlite");
    let store = Store::open(&path).unwrap();
    store.take_webhooks().unwrap();
    let spool = store.spool().unwrap();
    let file = folder.join("k.sqlite-hooks");
    let length = || std::fs::metadata(&file).unwrap().len();
    keep(&store, 0, 1);
    let room = length();
    assert!(room >= HEAD + u64::try_from(ROOM).unwrap());
    (1..50).for_each(|n| keep(&store, n, n + 1));
    assert_eq!(length(), room, "it does not grow");
    let take = || {
        let (n, place) = store.write(|tx| tx.take_over(&spool)).unwrap();
        spool.taken(&place);
        n
    };
    assert_eq!(take(), 50);
    // All was taken over: a new generation begins where the old one stands.
    spool.lock().as_mut().unwrap().rewind(REWIND_FROM).unwrap();
    assert_eq!((length(), take()), (room, 0));
    (50..60).for_each(|n| keep(&store, n, n + 1));
    assert_eq!(length(), room);
    drop((spool, store));
    let store = Store::open(&path).unwrap();
    assert_eq!(log(&store), texts(60), "those of the old generation are not there twice");
    store.take_webhooks().unwrap();
    assert_eq!(length(), HEAD, "nor are they kept on");
    keep(&store, 60, 61);
    let spool = store.spool().unwrap();
    let (_, place) = store.write(|tx| tx.take_over(&spool)).unwrap();
    spool.taken(&place);
    spool.lock().as_mut().unwrap().rewind(REWIND_FROM).unwrap();
    store.let_go_of_webhooks().unwrap();
    assert_eq!(length(), HEAD, "also where a new generation has nothing yet");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A disk that filled up in the middle of a batch left a whole entry behind; taken over, the place
/// lay past the next webhook, which was acknowledged and never seen.
#[test]
fn what_a_failed_write_left_behind_hides_no_webhook() {
    let folder = folder("failed");
    let path = folder.join("k.sqlite");
    let store = Store::open(&path).unwrap();
    store.take_webhooks().unwrap();
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
    let folder = folder("unsound");
    let path = folder.join("k.sqlite");
    let store = Store::open(&path).unwrap();
    store.take_webhooks().unwrap();
    keep(&store, 0, 1);
    let spool = store.spool().unwrap();
    let (_, place) = store.write(|tx| tx.take_over(&spool)).unwrap();
    spool.taken(&place);
    // As where the new head is on disk, and what came after it failed.
    let before = spool.lock().as_ref().unwrap().generation.clone();
    spool.lock().as_mut().unwrap().rewind(HEAD).unwrap();
    if let Some(own) = spool.lock().as_mut() {
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
