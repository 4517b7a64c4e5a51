-- A mark that only counts up moves no index: none asks for it.
DROP INDEX objects_due;
CREATE INDEX objects_due ON objects (connection, due_lane, due_since) WHERE due_lane IS NOT NULL;
