-- Places that a person has said are not what was found there.
CREATE TABLE rejected (
    medium INTEGER NOT NULL,
    id INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (medium, id)
) WITHOUT ROWID;
