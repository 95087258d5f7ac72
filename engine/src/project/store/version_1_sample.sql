-- A project file as version 1 made it. It stays as it is, whatever becomes of the newest version.
PRAGMA application_id = 1397049173;
PRAGMA user_version = 1;
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
CREATE TABLE steps (id INTEGER PRIMARY KEY, title TEXT NOT NULL, undone INTEGER NOT NULL DEFAULT FALSE);
CREATE INDEX undone_steps ON steps (id) WHERE undone;
CREATE TABLE changes (
    step INTEGER NOT NULL REFERENCES steps ON DELETE CASCADE,
    kind TEXT NOT NULL,
    a INTEGER NOT NULL,
    b INTEGER NOT NULL,
    before TEXT,
    after TEXT,
    PRIMARY KEY (step, kind, a, b)
) WITHOUT ROWID;
INSERT INTO media VALUES (1, '{"path":"images/1.jpg","kind":"image","size":{"width":2,"height":2},"n_frames":1,"content":{"length":5,"hash":"00"},"done":true}');
INSERT INTO categories VALUES (1, '{"name":"bee","color":[255,200,0],"key":1,"supercategory":"insect","attributes":[{"name":"flies","values":["yes","no"]}]}');
INSERT INTO objects VALUES (1, 1, '{"category":1,"proposal":0.5,"attributes":{"flies":"yes"}}');
INSERT INTO segments VALUES (1, 0, '{"question":{"base":{"size":[2,2],"counts":"112"}},"mask_is_base":true,"iou":1.0,"is_answered":true}');
INSERT INTO segments VALUES (2, 0, '{"question":{"prompt":{"points":[{"at":{"x":0.5,"y":1.5},"label":"negative"}],"rect":[0.0,0.0,2.0,1.0]},"choice":1},"mask":{"size":[2,2],"counts":"04"},"iou":0.75,"is_answered":false,"rect":[0.0,0.0,1.0,2.0]}');
INSERT INTO steps VALUES (1, 'Label', FALSE), (2, 'Delete', TRUE);
INSERT INTO changes VALUES (1, 'category', 1, 0, NULL, '{"name":"bee","color":[255,200,0],"key":1,"supercategory":"insect","attributes":[{"name":"flies","values":["yes","no"]}]}');
INSERT INTO changes VALUES (2, 'segment', 2, 0, '{"question":{},"iou":0.0,"is_answered":false}', NULL);
