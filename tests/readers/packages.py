"""Reads an export with other people's software and prints what that finds on each image, as read.py does: a category and an
area in pixels for each object.

Usage: packages.py PACKAGE FORMAT FOLDER
"""

import contextlib
import importlib.abc
import importlib.util
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

# What the packages import and reading does not need.
UNNEEDED = {"scipy", "matplotlib", "requests", "av", "onnxruntime", "osam", "imgviz", "skimage", "qtpy", "PyQt5"}

package, kind, root = sys.argv[1], sys.argv[2], Path(sys.argv[3])
found = {}


class Unneeded(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        wanted = name.split(".")[0] in UNNEEDED
        return importlib.util.spec_from_loader(name, self, is_package=True) if wanted else None

    def create_module(self, spec):
        return MagicMock()

    def exec_module(self, module):
        pass


sys.meta_path.append(Unneeded())


def add(image, category, area):
    found.setdefault(str(image), []).append([category, int(round(float(area)))])


def load(name):
    return json.loads((root / name).read_text())


def stem(name):
    return str(Path(name).with_suffix(""))


def area_of(det):
    return coco_mask.area(det) if isinstance(det, dict) else det[2] * det[3]


def read_datumaro():
    from datumaro.components.annotation import AnnotationType
    from datumaro.components.dataset import Dataset

    theirs = {"coco": "coco_instances", "coco-panoptic": "coco_panoptic", "cvat-images": "cvat", "mot": "mot_seq"}
    folders = sorted(root.glob("*/gt")) if kind == "mot" else [root / "gt"]
    for folder in folders:
        dataset = Dataset.import_from(str(folder.parent), theirs.get(kind, kind))
        labels = dataset.categories()[AnnotationType.label]
        for item in dataset:
            # A mask and a box of one group are one object; of VOC, it counts masks from 1 and boxes from 0, and takes a
            # box's last pixel for its end.
            objects = {}
            for i, told in enumerate(item.annotations):
                is_voc_box = kind == "voc" and told.type == AnnotationType.bbox
                if is_voc_box:
                    told = told.wrap(w=told.w + 1, h=told.h + 1)
                objects.setdefault(told.group + is_voc_box or -i - 1, []).append(told)
            # Frames count from 1 there.
            name = f"{folder.parent.name}/{int(item.id) - 1:06}" if kind == "mot" else item.id
            for told in objects.values():
                masks = [a for a in told if a.type == AnnotationType.mask]
                areas = [np.count_nonzero(a.image) for a in masks] or [told[0].get_area()]
                add(name, labels[told[0].label].name, sum(areas))


def read_labelme():
    from labelme import LabelFile

    for file in sorted(root.rglob("*.json")):
        if "shapes" not in json.loads(file.read_text()):
            continue
        label_file, groups = LabelFile(str(file)), {}
        height, width = np.array(Image.open(io.BytesIO(label_file.imageData))).shape[:2]
        for i, shape in enumerate(label_file.shapes):
            (x0, y0), (x1, y1) = shape["points"][0], shape["points"][-1]
            if shape["shape_type"] == "rectangle":
                area = (x1 - x0) * (y1 - y0)
            elif shape["shape_type"] == "mask":
                area = np.count_nonzero(shape["mask"])
            else:
                group = groups.setdefault((shape["group_id"] or -i - 1, shape["label"]), [])
                group.append([v for point in shape["points"] for v in point])
                continue
            add(file.relative_to(root).with_suffix(""), shape["label"], area)
        for (_, label), polygons in groups.items():
            area = coco_mask.area(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width)))
            add(file.relative_to(root).with_suffix(""), label, area)


def read_panopticapi():
    from panopticapi.evaluation import pq_compute_single_core
    from panopticapi.utils import rgb2id

    file, folder = root / "annotations/panoptic_default.json", root / "annotations/panoptic_default"
    data = load(file)
    categories = {category["id"]: category for category in data["categories"]}
    pairs = [(a, a) for a in data["annotations"]]
    counted = pq_compute_single_core(0, pairs, str(folder), str(folder), categories)
    quality, _ = counted.pq_average(categories, isthing=None)
    assert quality["pq"] == 1.0, quality
    images = {image["id"]: stem(image["file_name"]) for image in data["images"]}
    for a in data["annotations"]:
        ids = rgb2id(np.array(Image.open(folder / a["file_name"])))
        for segment in a["segments_info"]:
            add(images[a["image_id"]], categories[segment["category_id"]]["name"], (ids == segment["id"]).sum())


def read_supervision():
    from supervision import DetectionDataset

    def take(dataset, images):
        for path, _, detections in dataset:
            name = Path(path).relative_to(images).with_suffix("")
            for i, category in enumerate(detections.class_id):
                has_mask = detections.mask is not None and detections.mask[i].any()
                area = np.count_nonzero(detections.mask[i]) if has_mask else detections.box_area[i]
                add(name, dataset.classes[category], area)

    def folders(images):
        """It looks into a folder, not into those within it."""
        return sorted({path.parent.relative_to(images) for path in images.rglob("*.*")})

    if kind == "coco":
        images = root / "images"
        take(DetectionDataset.from_coco(str(images), str(root / "annotations/instances_default.json"), True), images)
    elif kind == "voc":
        images = root / "JPEGImages"
        for folder in folders(images):
            take(DetectionDataset.from_pascal_voc(str(images / folder), str(root / "Annotations" / folder)), images)
    else:
        images, yaml = root / "images/train", str(root / "data.yaml")
        for folder in folders(images):
            labels = str(root / "labels/train" / folder)
            take(DetectionDataset.from_yolo(str(images / folder), labels, yaml), images)


def read_trackeval():
    """The ground truth of the benchmarks' own evaluation."""
    from trackeval import datasets

    config = {"GT_FOLDER": str(root), "TRACKERS_FOLDER": str(root), "TRACKERS_TO_EVAL": [], "PRINT_CONFIG": False}
    config["SKIP_SPLIT_FOL"] = True

    def take(dataset, names, frame_name):
        for video in dataset.seq_list:
            raw = dataset._load_raw_file(None, video, is_gt=True)
            for t, dets in enumerate(raw["gt_dets"]):
                classes = raw["gt_classes"][t] if "gt_classes" in raw else [1] * len(dets)
                for det, number in zip(dets, classes):
                    add(frame_name(video, t), names[int(number)], area_of(det))

    def listed(file):
        return dict(enumerate(file.read_text().splitlines(), 1))

    if kind == "davis":
        config["GT_FOLDER"] = str(root / "Annotations/Full-Resolution")
        files = {video.name: sorted(video.iterdir()) for video in Path(config["GT_FOLDER"]).iterdir()}
        take(datasets.DAVIS(config), {1: "object"}, lambda video, t: f"{video}/{int(files[video][t].stem):06}")
    elif kind == "mots":
        config["SEQ_INFO"] = {file.stem: 5 for file in (root / "instances_txt").glob("*.txt")}
        config["GT_LOC_FORMAT"] = "{gt_folder}/instances_txt/{seq}.txt"
        dataset = datasets.MOTSChallenge(config)
        take(dataset, listed(root / "instances/labels.txt"), lambda video, t: f"{video}/{t + 1:06}")
    elif kind == "mot":
        config["SEQ_INFO"] = {file.parent.parent.name: 5 for file in root.glob("*/gt/gt.txt")}
        dataset = datasets.MotChallenge2DBox(config)
        labels = listed(next(root.glob("*/gt/labels.txt")))
        take(dataset, labels, lambda video, t: f"{video}/{t:06}")
    else:
        read_trackeval_json(datasets, config, take)


def read_trackeval_json(datasets, config, take):
    file = root / ("annotations/instances_default.json" if kind == "youtube-vis" else "annotations.json")
    data = load(file)
    names = {category["id"]: category["name"] for category in data["categories"]}
    with tempfile.TemporaryDirectory() as folder:
        # There has to be one JSON file, in a folder of a certain name.
        split = Path(folder) / ("youtube_vis_x" if kind == "youtube-vis" else "x")
        split.mkdir()
        os.symlink(file, split / "x.json")
        config.update(GT_FOLDER=f"{folder}/" if kind == "youtube-vis" else str(split), SPLIT_TO_EVAL="x")
        config.update(TRACKERS_FOLDER=f"{folder}/")
        if kind == "youtube-vis":
            files = {video["file_names"][0].split("/")[0]: video["file_names"] for video in data["videos"]}
            frame = {name: [int(Path(file).stem) for file in files[name]] for name in files}
            take(datasets.YouTubeVIS(config), names, lambda video, t: f"{video}/{frame[video][t]:06}")
        else:
            dataset = (datasets.TAO if kind == "tao" else datasets.BURST)(config)
            files = {image["id"]: image["file_name"] for image in dataset.gt_data["images"]}
            for video in dataset.seq_list:
                for number, tracks in dataset._load_raw_file(None, video, is_gt=True)["classes_to_gt_tracks"].items():
                    for image, det in [pair for track in tracks for pair in track.items()]:
                        add(stem(files[image]).removeprefix("train/"), names[number], area_of(det))


with contextlib.redirect_stdout(sys.stderr):
    globals()["read_" + package]()
print(json.dumps({image: sorted(objects) for image, objects in sorted(found.items())}))
