-- Forward only. What each table is for stands in ARCHITECTURE.md.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE changes (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  connection TEXT NOT NULL,
  collection TEXT NOT NULL,
  remote     TEXT NOT NULL,
  each       TEXT NOT NULL,
  via        TEXT NOT NULL,
  asked      INTEGER NOT NULL,
  body       TEXT NOT NULL,
  at         TEXT NOT NULL,
  end        TEXT,
  reason     TEXT
);
CREATE INDEX changes_open ON changes (seq) WHERE end IS NULL;
CREATE INDEX changes_dead ON changes (seq) WHERE end = 'dead';

CREATE TABLE records (
  id      INTEGER PRIMARY KEY,
  entity  TEXT NOT NULL,
  key     TEXT,
  folded  TEXT,
  origin  TEXT NOT NULL,
  fields  TEXT NOT NULL,
  version INTEGER NOT NULL
);
CREATE INDEX records_key ON records (entity, folded) WHERE folded IS NOT NULL;

CREATE TABLE refs (
  record INTEGER NOT NULL,
  entity TEXT NOT NULL,
  field  TEXT NOT NULL,
  target INTEGER NOT NULL,
  PRIMARY KEY (record, field)
) WITHOUT ROWID;
CREATE INDEX refs_target ON refs (target, entity, field);

-- Who waits for a reference: a record (what = 0) or an object without root (what = 1).
CREATE TABLE pending (
  what    INTEGER NOT NULL,
  id      INTEGER NOT NULL,
  pending TEXT NOT NULL,
  PRIMARY KEY (what, id, pending)
) WITHOUT ROWID;
CREATE INDEX pending_text ON pending (pending, what);

CREATE TABLE objects (
  id             INTEGER PRIMARY KEY,
  connection     TEXT NOT NULL,
  resource       TEXT NOT NULL,
  collection     TEXT NOT NULL,
  remote         TEXT,
  root           INTEGER,
  unmatched      TEXT,
  unmatched_fold TEXT,
  shadow         TEXT NOT NULL,
  version        TEXT,
  settled        INTEGER NOT NULL,
  asked          INTEGER NOT NULL,
  fell           INTEGER,
  state          TEXT NOT NULL,
  wait_kind      TEXT,
  wait_reason    TEXT,
  due_mark       INTEGER,
  due_since      TEXT,
  due_next       TEXT,
  due_not_before TEXT,
  due_tries      INTEGER,
  due_lane       INTEGER,
  look           INTEGER,
  repairs        TEXT NOT NULL
);
CREATE UNIQUE INDEX objects_remote ON objects (connection, collection, remote) WHERE remote IS NOT NULL;
CREATE INDEX objects_root ON objects (root, connection) WHERE root IS NOT NULL;
CREATE INDEX objects_unmatched ON objects (connection, resource, unmatched_fold) WHERE unmatched_fold IS NOT NULL;
CREATE INDEX objects_due ON objects (connection, due_lane, due_since) WHERE due_mark IS NOT NULL;
CREATE INDEX objects_look ON objects (connection, collection) WHERE look IS NOT NULL;
CREATE INDEX objects_wait ON objects (wait_kind) WHERE wait_kind IS NOT NULL;

CREATE TABLE bindings (
  object INTEGER NOT NULL,
  facet  TEXT NOT NULL,
  record INTEGER NOT NULL,
  PRIMARY KEY (object, facet)
) WITHOUT ROWID;
CREATE INDEX bindings_record ON bindings (record);

CREATE TABLE sold (
  order_id  INTEGER NOT NULL,
  line      TEXT NOT NULL,
  variant   INTEGER NOT NULL,
  quantity  TEXT NOT NULL,
  location  TEXT NOT NULL,
  reached   INTEGER,
  contained INTEGER NOT NULL,
  PRIMARY KEY (order_id, line)
) WITHOUT ROWID;
CREATE INDEX sold_variant ON sold (variant) WHERE contained = 0;

CREATE TABLE cursors (
  connection TEXT NOT NULL,
  resource   TEXT NOT NULL,
  each       TEXT NOT NULL,
  value      TEXT,
  page       TEXT,
  asked      INTEGER NOT NULL,
  last       INTEGER NOT NULL,
  complete   INTEGER NOT NULL,
  at         TEXT NOT NULL,
  PRIMARY KEY (connection, resource, each)
) WITHOUT ROWID;

CREATE TABLE deliveries (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  object  INTEGER NOT NULL,
  at      TEXT NOT NULL,
  kind    TEXT NOT NULL,
  fields  TEXT NOT NULL,
  outcome TEXT NOT NULL,
  fault   TEXT,
  call    TEXT NOT NULL
);
CREATE INDEX deliveries_object ON deliveries (object, id);

CREATE TABLE intents (
  intent      TEXT PRIMARY KEY,
  object      INTEGER NOT NULL UNIQUE,
  connection  TEXT NOT NULL,
  resource    TEXT NOT NULL,
  ref         TEXT NOT NULL,
  payload     TEXT,
  hash        TEXT,
  class       TEXT NOT NULL,
  status      TEXT NOT NULL,
  permits     INTEGER NOT NULL,
  first_sent  TEXT,
  lookups     INTEGER NOT NULL,
  next_at     TEXT NOT NULL,
  external    TEXT,
  UNIQUE (connection, resource, ref)
) WITHOUT ROWID;
CREATE INDEX intents_uncertain ON intents (connection, next_at) WHERE status = 'uncertain';

CREATE TABLE attempts (
  attempt   TEXT PRIMARY KEY,
  intent    TEXT NOT NULL,
  n         INTEGER NOT NULL,
  permitted TEXT NOT NULL,
  send_by   TEXT NOT NULL,
  outcome   TEXT NOT NULL,
  evidence  TEXT NOT NULL,
  UNIQUE (intent, n)
) WITHOUT ROWID;

-- Sums are kept, not scanned.
CREATE TABLE sums (
  connection TEXT NOT NULL,
  collection TEXT NOT NULL,
  kind       TEXT NOT NULL,
  n          INTEGER NOT NULL,
  PRIMARY KEY (connection, collection, kind)
) WITHOUT ROWID;

CREATE TABLE decisions (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  object INTEGER NOT NULL,
  answer TEXT NOT NULL,
  reason TEXT NOT NULL,
  at     TEXT NOT NULL
);

-- The newest faults of each connection, bounded by `faults_kept`.
CREATE TABLE faults (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  connection TEXT NOT NULL,
  resource   TEXT NOT NULL,
  at         TEXT NOT NULL,
  kind       TEXT NOT NULL,
  text       TEXT NOT NULL
);
