-- What the project holds now; each value is JSON.
CREATE TABLE media (id INTEGER PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE categories (id INTEGER PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE objects (
    medium INTEGER NOT NULL,
    id INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (medium, id)
) WITHOUT ROWID;
CREATE TABLE segments (
    object INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (object, frame)
) WITHOUT ROWID;

-- How it came about, and what was taken back.
CREATE TABLE steps (id INTEGER PRIMARY KEY, title TEXT NOT NULL, undone INTEGER NOT NULL DEFAULT FALSE);
CREATE INDEX undone_steps ON steps (id) WHERE undone;

-- `kind` is medium, category, object or segment; `a` and `b` are the key in that table, `b` 0 where it has one column.
-- `before` and `after` are values, or null where there was or is none.
CREATE TABLE changes (
    step INTEGER NOT NULL REFERENCES steps ON DELETE CASCADE,
    kind TEXT NOT NULL,
    a INTEGER NOT NULL,
    b INTEGER NOT NULL,
    before TEXT,
    after TEXT,
    PRIMARY KEY (step, kind, a, b)
) WITHOUT ROWID;
