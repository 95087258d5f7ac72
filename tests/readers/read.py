"""Reads an export as its format's documentation says, masks with pycocotools and Pillow, and prints what is on each image:
a category and an area in pixels for each object (of boxes without masks, the box's own area, rounded).

Usage: read.py FORMAT FOLDER
"""

import base64
import io
import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

kind, root = sys.argv[1], Path(sys.argv[2])
found = {}


def add(image, category, area):
    found.setdefault(image, []).append([category, int(round(float(area)))])


def load(name):
    return json.loads((root / name).read_text())


def rle_area(rle, size=None):
    if isinstance(rle, str):
        rle = {"size": size, "counts": rle}
    if isinstance(rle["counts"], list):
        rle = coco_mask.frPyObjects(rle, *rle["size"])
    return int(coco_mask.area({**rle, "counts": rle["counts"].encode()} if isinstance(rle["counts"], str) else rle))


def polygon_area(polygons, height, width):
    return int(coco_mask.area(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))))


def pixels(path):
    return np.array(Image.open(path))


def box_area(box):
    return box[2] * box[3]


def frame_name(video, frame):
    """As a frame is called as an image."""
    return f"{Path(video).with_suffix('')}/{int(frame):06}"


def stem(name):
    return str(Path(name).with_suffix(""))


def read_coco():
    data = load("annotations/instances_default.json")
    images = {image["id"]: image for image in data["images"]}
    names = {category["id"]: category["name"] for category in data["categories"]}
    for a in data["annotations"]:
        area = rle_area(a["segmentation"]) if "segmentation" in a else box_area(a["bbox"])
        add(stem(images[a["image_id"]]["file_name"]), names[a["category_id"]], area)


def read_coco_panoptic():
    """https://cocodataset.org/#format-data, 4. Panoptic Segmentation"""
    data = load("annotations/panoptic_default.json")
    images = {image["id"]: image for image in data["images"]}
    names = {category["id"]: category["name"] for category in data["categories"]}
    for a in data["annotations"]:
        rgb = pixels(root / "annotations/panoptic_default" / a["file_name"]).astype(np.uint32)
        ids = rgb[..., 0] + 256 * rgb[..., 1] + 256**2 * rgb[..., 2]
        for segment in a["segments_info"]:
            assert segment["area"] == (ids == segment["id"]).sum()
            add(stem(images[a["image_id"]]["file_name"]), names[segment["category_id"]], segment["area"])


def read_youtube_vis():
    """https://codalab.lisn.upsaclay.fr/competitions/6064, dataset format"""
    data = load("annotations/instances_default.json")
    videos = {video["id"]: video for video in data["videos"]}
    names = {category["id"]: category["name"] for category in data["categories"]}
    for a in data["annotations"]:
        video = videos[a["video_id"]]
        assert len(a["segmentations"]) == len(a["bboxes"]) == len(video["file_names"]) == video["length"]
        for file, rle, area in zip(video["file_names"], a["segmentations"], a["areas"]):
            assert (root / "JPEGImages" / file).is_file()
            if rle is not None:
                assert rle_area(rle) == area
                folder, frame = file.rsplit("/", 1)
                add(frame_name(folder, Path(frame).stem), names[a["category_id"]], area)


def read_burst():
    """https://github.com/Ali2500/BURST-benchmark, annotation format"""
    data = load("annotations.json")
    names = {category["id"]: category["name"] for category in data["categories"]}
    for sequence in data["sequences"]:
        size = [sequence["height"], sequence["width"]]
        for path, objects in zip(sequence["annotated_image_paths"], sequence["segmentations"]):
            for track, told in objects.items():
                category = names[sequence["track_category_ids"][track]]
                add(frame_name(sequence["seq_name"], Path(path).stem), category, rle_area(told["rle"], size))


def read_tao():
    """https://github.com/TAO-Dataset/tao, annotations"""
    data = load("annotations.json")
    images = {image["id"]: image for image in data["images"]}
    names = {category["id"]: category["name"] for category in data["categories"]}
    tracks = {track["id"]: track for track in data["tracks"]}
    for a in data["annotations"]:
        assert tracks[a["track_id"]]["category_id"] == a["category_id"]
        assert tracks[a["track_id"]]["video_id"] == images[a["image_id"]]["video_id"] == a["video_id"]
        add(stem(images[a["image_id"]]["file_name"]), names[a["category_id"]], rle_area(a["segmentation"]))


def read_davis():
    """https://davischallenge.org/davis2017/code.html: indexed PNG, one number an object"""
    folder = root / "Annotations/Full-Resolution"
    for video in (root / "ImageSets/2017/train.txt").read_text().split():
        for file in sorted((folder / video).glob("*.png")):
            assert Image.open(file).mode == "P"
            numbers = pixels(file)
            for number in np.unique(numbers[numbers > 0]):
                add(frame_name(video, file.stem), "object", (numbers == number).sum())


def read_mots():
    """https://www.vision.rwth-aachen.de/page/mots, annotation format: PNG and text say the same"""
    names = (root / "instances/labels.txt").read_text().splitlines()
    for text in sorted((root / "instances_txt").glob("*.txt")):
        for line in text.read_text().splitlines():
            frame, number, category, height, width, rle = line.split()
            area = rle_area(rle, [int(height), int(width)])
            ids = pixels(root / "instances" / text.stem / f"{int(frame):06}.png")
            assert (ids == int(number)).sum() == area and int(number) // 1000 == int(category)
            add(frame_name(text.stem, frame), names[int(category) - 1], area)


def read_mot():
    """https://motchallenge.net/instructions: all is counted from 1"""
    for text in sorted(root.glob("*/gt/gt.txt")):
        names = (text.parent / "labels.txt").read_text().splitlines()
        for line in text.read_text().splitlines():
            frame, _, left, top, width, height, _, category, _ = line.split(",")
            assert float(left) >= 1 and float(top) >= 1
            area = float(width) * float(height)
            add(frame_name(text.parent.parent.name, int(frame) - 1), names[int(category) - 1], area)


def read_sa_v():
    """https://ai.meta.com/datasets/segment-anything-video, README: masklet[frame][object]"""
    for file in sorted(root.glob("*_manual.json")):
        data = json.loads(file.read_text())
        assert len(data["masklet_id"]) == data["masklet_num"]
        for frame, masks in enumerate(data["masklet"]):
            for area in filter(None, map(rle_area, masks)):
                add(frame_name(data["video_id"], frame), "object", area)


def yolo_names():
    lines = (root / "data.yaml").read_text().splitlines()
    return [json.loads(line.split(": ", 1)[1]) for line in lines[lines.index("names:") + 1 :]]


def yolo_lines():
    """https://docs.ultralytics.com/datasets: labels lie as images do; with the images' sizes."""
    names = yolo_names()
    for file in sorted((root / "labels/train").rglob("*.txt")):
        name = str(file.relative_to(root / "labels/train").with_suffix(""))
        (image,) = (root / "images/train").glob(name + ".*")
        width, height = Image.open(image).size
        for line in file.read_text().splitlines():
            category, *numbers = line.split()
            yield name, names[int(category)], [float(v) for v in numbers], width, height


def read_yolo():
    for name, category, (_, _, w, h), width, height in yolo_lines():
        add(name, category, w * width * h * height)


def read_yolo_segment():
    for name, category, numbers, width, height in yolo_lines():
        polygon = [v * (height if i % 2 else width) for i, v in enumerate(numbers)]
        add(name, category, polygon_area([polygon], height, width))


def read_voc():
    """http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf, sections 3.4 and 6.2"""
    for name in (root / "ImageSets/Main/default.txt").read_text().split():
        tree = ElementTree.parse(root / "Annotations" / f"{name}.xml").getroot()
        picture = root / "SegmentationObject" / f"{name}.png"
        ids = pixels(picture) if picture.is_file() else np.zeros((1, 1))
        for number, one in enumerate(tree.iter("object"), 1):
            box = [float(one.find("bndbox").find(side).text) for side in ("xmin", "ymin", "xmax", "ymax")]
            area = (ids == number).sum() or (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
            if (ids == number).any():
                y, x = np.nonzero(ids == number)
                assert [x.min() + 1, y.min() + 1, x.max() + 1, y.max() + 1] == box
            add(name, one.find("name").text, area)


def read_labelme():
    """https://github.com/wkentaro/labelme, labelme/_label_file.py: shapes, polygons of a group are one object"""
    for file in sorted(root.rglob("*.json")):
        data = json.loads(file.read_text())
        if "shapes" not in data:
            continue
        name, groups = str(file.relative_to(root).with_suffix("")), {}
        assert (file.parent / data["imagePath"]).is_file()
        for i, shape in enumerate(data["shapes"]):
            (x0, y0), (x1, y1) = shape["points"][0], shape["points"][-1]
            if shape["shape_type"] == "rectangle":
                add(name, shape["label"], (x1 - x0) * (y1 - y0))
            elif shape["shape_type"] == "mask":
                cut = pixels(io.BytesIO(base64.b64decode(shape["mask"])))
                assert cut.shape == (y1 - y0 + 1, x1 - x0 + 1)
                add(name, shape["label"], (cut > 0).sum())
            else:
                group = shape["group_id"] if shape["group_id"] is not None else -i - 1
                polygons = groups.setdefault((group, shape["label"]), [])
                polygons.append([v for point in shape["points"] for v in point])
        for (_, label), polygons in groups.items():
            add(name, label, polygon_area(polygons, data["imageHeight"], data["imageWidth"]))


def cvat_area(shape, size=None):
    """https://docs.cvat.ai/docs/manual/advanced/xml_format: every second run is on the object."""
    if shape.tag == "mask":
        runs = [int(run) for run in shape.get("rle").split(",")]
        assert sum(runs) <= int(shape.get("width")) * int(shape.get("height"))
        return sum(runs[1::2])
    if shape.tag == "polygon":
        points = [float(v) for point in shape.get("points").split(";") for v in point.split(",")]
        return polygon_area([points], *size)
    xtl, ytl, xbr, ybr = (float(shape.get(side)) for side in ("xtl", "ytl", "xbr", "ybr"))
    return (xbr - xtl) * (ybr - ytl)


def read_cvat_images():
    for image in ElementTree.parse(root / "annotations.xml").getroot().iter("image"):
        for shape in image:
            add(stem(image.get("name")), shape.get("label"), cvat_area(shape))


def read_cvat_video():
    for file in sorted(root.rglob("annotations.xml")):
        tree = ElementTree.parse(file).getroot()
        size = [int(tree.find(f"meta/task/original_size/{side}").text) for side in ("height", "width")]
        for track in tree.iter("track"):
            for shape in track:
                if shape.get("outside") == "0":
                    add(frame_name(file.parent.name, shape.get("frame")), track.get("label"), cvat_area(shape, size))


def read_datumaro():
    """https://openvinotoolkit.github.io/datumaro, Datumaro format"""
    data = load("annotations/default.json")
    names = [label["name"] for label in data["categories"]["label"]["labels"]]
    for item in data["items"]:
        for a in item["annotations"]:
            area = rle_area(a["rle"]) if a["type"] == "mask" else box_area(a["bbox"])
            add(item["id"], names[a["label_id"]], area)


def read_masks():
    for file in sorted((root / "masks").rglob("*.png")):
        image = file.parent.relative_to(root / "masks")
        numbers = pixels(file)
        assert set(np.unique(numbers)) <= {0, 255}
        add(str(image), file.stem.split("_", 1)[1], (numbers == 255).sum())


def read_indexed_masks():
    names = (root / "classes.txt").read_text().splitlines()
    for file in sorted((root / "masks").rglob("*.png")):
        numbers = pixels(file)
        for number in np.unique(numbers[numbers > 0]):
            name = str(file.relative_to(root / "masks").with_suffix(""))
            add(name, names[number - 1], (numbers == number).sum())


globals()["read_" + kind.replace("-", "_")]()
print(json.dumps({image: sorted(objects) for image, objects in sorted(found.items())}))
