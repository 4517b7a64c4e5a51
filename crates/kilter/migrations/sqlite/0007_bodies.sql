-- What a change says stands apart from what it is: how it ends is written without writing that again.
CREATE TABLE bodies (seq INTEGER PRIMARY KEY, body TEXT NOT NULL);
INSERT INTO bodies SELECT seq, body FROM changes;
ALTER TABLE changes DROP COLUMN body;
