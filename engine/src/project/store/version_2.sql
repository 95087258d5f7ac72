-- Tracking that is still to be done.
CREATE TABLE runs (
    step INTEGER NOT NULL,
    n INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (step, n)
) WITHOUT ROWID;
