"""Image files of all kinds, and the pixels that Pillow, NumPy and tifffile say they have.

    images.py GROUP FOLDER

Writes the files of a group into the folder, and beside each the frames that are expected, as raw RGB. Prints as JSON,
for each file, its name, the names of its expected frames, their size, the largest difference that is allowed, and the
times in seconds at which animation frames begin.
"""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageCms, ImageOps, ImageSequence

folder = Path(sys.argv[2])
files = []


def expect(name, frames, tolerance=0, times=None):
    """Notes that a file has these frames: arrays of RGB, or images that are laid over white."""
    names = []
    for i, frame in enumerate(frames):
        if isinstance(frame, Image.Image):
            frame = over_white(frame)
        frame = np.ascontiguousarray(frame, np.uint8)
        names.append(f"{name}.{i}.rgb")
        (folder / names[-1]).write_bytes(frame.tobytes())
    size = [frame.shape[1], frame.shape[0]]
    files.append(dict(file=name, frames=names, size=size, tolerance=tolerance, times=times))


def over_white(image):
    rgba = np.asarray(image.convert("RGBA"), np.float64)
    color, alpha = rgba[..., :3], rgba[..., 3:] / 255
    return np.floor(color * alpha + 255 * (1 - alpha) + 0.5).astype(np.uint8)


def gray(values):
    return np.repeat(np.asarray(values)[..., None], 3, axis=2)


def scaled(values, low=None, high=None):
    """Spreads values over 0 to 255."""
    values = np.asarray(values, np.float64)
    finite = values[np.isfinite(values)]
    low = finite.min() if low is None else low
    high = finite.max() if high is None else high
    with np.errstate(invalid="ignore"):
        levels = np.clip((values - low) / (high - low) * 255, 0, 255)
    return np.floor(np.nan_to_num(levels, nan=0) + 0.5).astype(np.uint8)


def noise(seed, shape, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, shape)


def smooth(width, height):
    """A photo without hard edges."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    channels = [255 * x, 255 * (1 - y), 127 + 120 * np.sin(5 * x + 3 * y)]
    return np.stack(channels, axis=2).astype(np.uint8)


def deep():
    """Samples of more than 8 bits, signed and float samples."""
    base = noise(1, (13, 17), 0, 2801)
    for kind in ["uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"]:
        values = (base + (200 if kind[0] == "u" else -200)).astype(kind)
        tifffile.imwrite(folder / f"{kind}.tif", values)
        expect(f"{kind}.tif", [gray(scaled(values))], 1)
        color = (noise(2, (13, 17, 3), 0, 2801) + (200 if kind[0] == "u" else -200)).astype(kind)
        tifffile.imwrite(folder / f"{kind}-rgb.tif", color, photometric="rgb")
        expect(f"{kind}-rgb.tif", [scaled(color)], 1)
    signed = noise(3, (13, 17), -100, 28).astype("int8")
    tifffile.imwrite(folder / "int8.tif", signed)
    expect("int8.tif", [gray(scaled(signed))], 1)
    wide = noise(4, (13, 17), 0, 65536).astype("uint16")
    wide[0, :2] = 0, 65535
    tifffile.imwrite(folder / "photo.tif", wide)
    expect("photo.tif", [gray(scaled(wide, 0, 65535))])
    Image.fromarray(wide).save(folder / "photo.png")
    expect("photo.png", [gray(scaled(wide, 0, 65535))])
    dark = (noise(5, (13, 17), 200, 3001)).astype("uint16")
    Image.fromarray(dark).save(folder / "dark.png")
    expect("dark.png", [gray(scaled(dark))], 1)
    dark_rgb = noise(6, (13, 17, 3), 200, 3001).astype(">u2")
    write_png(folder / "dark-rgb.png", dark_rgb, 2)
    expect("dark-rgb.png", [scaled(dark_rgb)], 1)
    # Colors that cannot be seen do not count.
    alpha = np.dstack([dark_rgb, np.full((13, 17), 65535)]).astype(">u2")
    alpha[3, 4] = 65535, 65535, 65535, 0
    write_png(folder / "dark-rgba.png", alpha, 6)
    seen = np.delete(alpha.reshape(-1, 4), 3 * 17 + 4, axis=0)[:, :3]
    want = scaled(alpha[..., :3], seen.min(), seen.max())
    want[3, 4] = 255
    expect("dark-rgba.png", [want], 1)
    (folder / "dark.pgm").write_bytes(b"P5 17 13 4095\n" + dark.astype(">u2").tobytes())
    # Half of the range that the file names: a photo.
    expect("dark.pgm", [gray(scaled(dark, 0, 4095))], 1)
    holes = base.astype("float32")
    holes[0, :4] = np.nan, np.inf, -np.inf, -1e38
    holes[5, 5] = 1e38
    tifffile.imwrite(folder / "nan.tif", holes)
    expect("nan.tif", [gray(scaled(holes))], 1)
    for kind, level in [("uint16", 3), ("float32", 0.5), ("int32", -7)]:
        tifffile.imwrite(folder / f"one-{kind}.tif", np.full((5, 6), level, kind))
        span = dict(uint16=(0, 65535), float32=(0, 1), int32=(-(2**31), 2**31 - 1))[kind]
        expect(f"one-{kind}.tif", [gray(scaled(np.full((5, 6), level), *span))], 1)
    tifffile.imwrite(folder / "all-nan.tif", np.full((5, 6), np.nan, "float32"))
    expect("all-nan.tif", [np.zeros((5, 6, 3))])
    heights = noise(7, (13, 17), 300, 900).astype("float32")
    heights[:4] = -9999
    tifffile.imwrite(folder / "heights.tif", heights, extratags=[(42113, "s", 0, "-9999", True)])
    want = scaled(heights, heights[4:].min(), heights[4:].max())
    want[:4] = 0
    expect("heights.tif", [gray(want)], 1)
    # A hot pixel does not make the rest black.
    hot = noise(8, (150, 100), 200, 3001).astype("uint16")
    hot[70, 50] = 65535
    tifffile.imwrite(folder / "hot.tif", hot)
    rest = np.delete(hot.ravel(), 70 * 100 + 50)
    expect("hot.tif", [gray(scaled(hot, rest.min(), rest.max()))], 1)


def write_png(path, samples, color_type):
    """A PNG of 16 bits with the colors that Pillow does not write."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    head = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def tiff():
    """Colors, layouts and compressions of TIFF."""
    color = noise(1, (37, 45, 3)).astype("uint8")
    plain = noise(2, (37, 45)).astype("uint8")
    for name, options in dict(
        big=dict(bigtiff=True),
        motorola=dict(byteorder=">"),
        planar=dict(planarconfig="separate"),
        tiled=dict(tile=(16, 32)),
        strips=dict(rowsperstrip=5),
        planar_tiled=dict(planarconfig="separate", tile=(16, 16)),
        deflate=dict(compression="zlib"),
        predictor=dict(compression="zlib", predictor=True),
        everything=dict(compression="zlib", predictor=True, tile=(16, 16), bigtiff=True, byteorder=">"),
    ).items():
        if name in ("planar", "planar_tiled"):
            tifffile.imwrite(folder / f"{name}.tif", np.moveaxis(color, 2, 0), photometric="rgb", **options)
        else:
            tifffile.imwrite(folder / f"{name}.tif", color, photometric="rgb", **options)
        expect(f"{name}.tif", [color])
    for compression in ["tiff_lzw", "packbits", "tiff_adobe_deflate", "tiff_deflate"]:
        Image.fromarray(color).save(folder / f"{compression}.tif", compression=compression)
        expect(f"{compression}.tif", [color])
    # One block of Zstandard that is stored as it is (RFC 8878).
    data = color.tobytes()
    frame = b"\x28\xb5\x2f\xfd\xa0" + len(data).to_bytes(4, "little") + (len(data) << 3 | 1).to_bytes(3, "little")
    by_hand(folder / "zstd.tif", 45, 37, frame + data, {258: 8, 259: 50000, 262: 2, 277: 3})
    expect("zstd.tif", [color])
    bright = noise(3, (37, 45), 100, 3000)
    for kind in ["uint16", "int32"]:
        options = dict(compression="zlib", predictor=True, tile=(16, 16), byteorder=">")
        tifffile.imwrite(folder / f"predicted-{kind}.tif", bright.astype(kind), **options)
        expect(f"predicted-{kind}.tif", [gray(scaled(bright))], 1)
    photo = smooth(64, 48)
    Image.fromarray(photo).save(folder / "jpeg.tif", compression="jpeg", quality=95)
    expect("jpeg.tif", [Image.open(folder / "jpeg.tif").convert("RGB")], 2)
    Image.fromarray(photo).convert("L").save(folder / "jpeg-gray.tif", compression="jpeg", quality=95)
    expect("jpeg-gray.tif", [Image.open(folder / "jpeg-gray.tif").convert("RGB")], 2)
    tifffile.imwrite(folder / "white.tif", plain, photometric="miniswhite")
    expect("white.tif", [gray(255 - plain)])
    tifffile.imwrite(folder / "white16.tif", bright.astype("uint16"), photometric="miniswhite")
    expect("white16.tif", [gray(255 - scaled(bright).astype(int))], 1)
    bits = plain > 127
    Image.fromarray(bits).save(folder / "bits.tif")
    expect("bits.tif", [gray(bits * 255)])
    Image.fromarray(bits).save(folder / "fax.tif", compression="group4")
    expect("fax.tif", [gray(bits * 255)])
    for depth in [2, 4, 12]:
        values = noise(depth, (37, 45), 0, 2**depth)
        packed(folder / f"packed{depth}.tif", values, depth)
        expect(f"packed{depth}.tif", [gray(scaled(values, 0, 2**depth - 1))], 1)
    palette = Image.fromarray(photo).quantize(200)
    palette.save(folder / "palette.tif")
    expect("palette.tif", [palette.convert("RGB")])
    cmyk = Image.merge("CMYK", [Image.fromarray(noise(i, (37, 45)).astype("uint8")) for i in range(4)])
    cmyk.save(folder / "cmyk.tif")
    expect("cmyk.tif", [cmyk.convert("RGB")], 1)
    lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    soft = 60 + photo // 2
    ImageCms.applyTransform(Image.fromarray(soft), lab).save(folder / "lab.tif")
    expect("lab.tif", [soft], 3)
    rgba = noise(5, (37, 45, 4)).astype("uint8")
    Image.fromarray(rgba).save(folder / "rgba.tif")
    expect("rgba.tif", [Image.fromarray(rgba)], 1)
    la = noise(6, (37, 45, 2)).astype("uint8")
    Image.fromarray(la).save(folder / "la.tif")
    expect("la.tif", [Image.fromarray(la)], 1)
    # Satellites: more channels than colors. Those that are named as colors, else the first three.
    bands = noise(7, (37, 45, 6)).astype("uint8")
    tifffile.imwrite(folder / "rgb-and-more.tif", bands, photometric="rgb", extrasamples=[0, 0, 0])
    expect("rgb-and-more.tif", [bands[..., :3]])
    tifffile.imwrite(folder / "bands.tif", bands, photometric="minisblack", planarconfig="contig")
    expect("bands.tif", [bands[..., :3]])
    tifffile.imwrite(folder / "gray-and-more.tif", bands[..., :3], photometric="minisblack", extrasamples=[2, 0])
    over = over_white(Image.merge("LA", [Image.fromarray(bands[..., i]) for i in range(2)]))
    expect("gray-and-more.tif", [over], 1)
    deep = np.stack([noise(8 + i, (37, 45), 10 * i, 10 * i + 300 * (i + 1)) for i in range(5)]).astype("uint16")
    tifffile.imwrite(folder / "bands16.tif", deep, photometric="minisblack", planarconfig="separate")
    expect("bands16.tif", [np.stack([scaled(deep[i]) for i in range(3)], axis=2)], 1)
    two = noise(9, (2, 37, 45)).astype("uint8")
    tifffile.imwrite(folder / "two.tif", two, photometric="minisblack", planarconfig="separate")
    expect("two.tif", [gray(two[0])])
    with tifffile.TiffWriter(folder / "pyramid.tif") as out:
        out.write(color, photometric="rgb", tile=(16, 16))
        out.write(color[::2, ::2], photometric="rgb", tile=(16, 16), subfiletype=1)
    expect("pyramid.tif", [color])
    with tifffile.TiffWriter(folder / "attachments.tif") as out:
        out.write(color, photometric="rgb")
        out.write(color[:10], photometric="rgb")
    expect("attachments.tif", [color])


def packed(path, values, depth):
    """A TIFF of samples that are no whole bytes."""
    rows = [np.array([[int(bit) for bit in format(value, f"0{depth}b")] for value in row]).ravel() for row in values]
    data = b"".join(np.packbits(row).tobytes() for row in rows)
    by_hand(path, *values.shape[::-1], data, {258: depth, 259: 1, 262: 1, 277: 1})


def by_hand(path, width, height, data, tags):
    """A TIFF of one strip."""
    tags = {256: width, 257: height, 273: 8, 278: height, 279: len(data), **tags}
    ifd = b"".join(
        tag.to_bytes(2, "little") + (4).to_bytes(2, "little") + (1).to_bytes(4, "little") + value.to_bytes(4, "little")
        for tag, value in sorted(tags.items())
    )
    start = 8 + len(data)
    head = b"II*\0" + start.to_bytes(4, "little")
    path.write_bytes(head + data + len(tags).to_bytes(2, "little") + ifd + bytes(4))


def pages():
    """Multi-page TIFF, and animated GIF, PNG and WebP."""
    stack = noise(1, (20, 9, 11), 100, 3000).astype("uint16")
    stack[:, 0, :2] = 100, 2999
    tifffile.imwrite(folder / "stack.tif", stack, photometric="minisblack")
    expect("stack.tif", [gray(scaled(page, 100, 2999)) for page in stack], 1, [i / 25 for i in range(20)])
    mixed = [Image.fromarray(noise(i, (9, 11, 3)).astype("uint8")) for i in range(3)]
    mixed[1] = mixed[1].convert("L")
    mixed[0].save(folder / "mixed.tif", save_all=True, append_images=mixed[1:], compression="tiff_lzw")
    expect("mixed.tif", mixed, 0, [0, 0.04, 0.08])

    patches = []
    for i in range(8):
        image = Image.new("RGBA", (40, 30), (0, 0, 0, 0) if i % 3 else (200, 30 * i, 40, 255))
        image.paste((30 * i, 255 - 30 * i, 90, 255), (3 * i, 2 * i, 3 * i + 12, 2 * i + 9))
        patches.append(image)
    solid = [image.convert("RGB") for image in patches]
    durations = [40, 120, 200, 80, 500, 60, 40, 1000]
    times = [sum(durations[:i]) / 1000 for i in range(8)]
    for disposal in range(4):
        for kind, images in dict(clear=patches, solid=solid).items():
            name = f"{kind}{disposal}.gif"
            images[0].save(
                folder / name, save_all=True, append_images=images[1:], duration=durations, disposal=disposal, loop=0
            )
            animation(name, times)
    # Patches of all disposals, written as they are.
    write_gif(folder / "patches.gif")
    animation("patches.gif", [0, 0.1, 0.2, 0.3, 0.4, 0.5])
    rng = np.random.default_rng(7)
    for i in range(6):
        disposal, blend = [int(v) for v in rng.integers(0, 3, 8)], [int(v) for v in rng.integers(0, 2, 8)]
        patches[0].save(
            folder / f"{i}.png",
            save_all=True,
            append_images=patches[1:],
            duration=durations,
            disposal=[disposal[k] for k in range(8)],
            blend=[blend[k] for k in range(8)],
        )
        animation(f"{i}.png", times)
    solid[0].save(folder / "apng.png", save_all=True, append_images=solid[1:], duration=durations)
    animation("apng.png", times)
    options = dict(save_all=True, duration=durations)
    patches[0].save(folder / "clear.webp", append_images=patches[1:], lossless=True, exact=True, **options)
    animation("clear.webp", times)
    solid[0].save(folder / "solid.webp", append_images=solid[1:], lossless=True, **options)
    animation("solid.webp", times)
    patches[0].save(folder / "lossy.webp", append_images=patches[1:], quality=90, **options)
    # Decoders smooth colors over hard edges differently.
    animation("lossy.webp", times, 12)
    patches[4].save(folder / "one.gif")
    expect("one.gif", [Image.open(folder / "one.gif")])


def animation(name, times, tolerance=1):
    frames = [frame.convert("RGBA") for frame in ImageSequence.Iterator(Image.open(folder / name))]
    if len(frames) < len(times):
        # Pillow joins equal frames.
        times = times[: len(frames)]
    expect(name, frames, tolerance, times)


def write_gif(path):
    """Frames of one color each, smaller than the canvas, with all disposals and without."""
    colors = bytes([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    out = io.BytesIO()
    out.write(b"GIF89a" + bytes([20, 0, 16, 0, 0x91, 2, 0]) + colors)
    for x, y, width, height, color, disposal, clear in [
        (0, 0, 20, 16, 1, 1, 0),
        (2, 3, 10, 8, 3, 3, 1),
        (6, 2, 9, 9, 2, 2, 1),
        (4, 4, 12, 6, 3, 0, 1),
        (1, 1, 3, 3, 2, 2, 0),
        (10, 9, 8, 5, 1, 1, 0),
    ]:
        out.write(b"!\xf9\x04" + bytes([disposal << 2 | clear, 10, 0, 0, 0]))
        out.write(b"," + b"".join(v.to_bytes(2, "little") for v in (x, y, width, height)) + b"\0\x02")
        # A clear code before each pair of pixels, so that codes stay three bits long.
        codes = []
        for i in range(width * height):
            codes += [4] if i % 2 == 0 else []
            codes.append(0 if clear and i % 5 == 0 else color)
        bits = "".join(format(code, "03b")[::-1] for code in codes + [5])
        data = bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))
        for i in range(0, len(data), 255):
            out.write(bytes([len(data[i : i + 255])]) + data[i : i + 255])
        out.write(b"\0")
    path.write_bytes(out.getvalue() + b";")


def common():
    """Unusual files of the usual kinds."""
    photo = Image.fromarray(smooth(97, 61))
    photo.save(folder / "plain.jpg", quality=92)
    photo.save(folder / "progressive.jpg", quality=92, progressive=True)
    photo.save(folder / "full.jpg", quality=92, subsampling=0)
    photo.save(folder / "restarts.jpg", quality=92, restart_marker_rows=1)
    photo.convert("L").save(folder / "gray.jpg", quality=92)
    photo.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    photo.save(folder / "keep-rgb.jpg", quality=95, keep_rgb=True)
    plain = (folder / "plain.jpg").read_bytes()
    (folder / "garbage.jpg").write_bytes(plain + b"\xff\xd8 not an image \0\1\2" * 99)
    photo.save(folder / "two.mpo", format="MPO", save_all=True, append_images=[photo.rotate(90)])
    photo.save(folder / "really.webp.jpg", format="WEBP", lossless=True)
    photo.save(folder / "lossy.webp", quality=92)
    for name in ["full.jpg", "gray.jpg", "cmyk.jpg", "keep-rgb.jpg", "lossy.webp"]:
        expect(name, [Image.open(folder / name).convert("RGB")], 2)
    # Few values differ by more than 2, where colors are interpolated.
    for name in ["plain.jpg", "progressive.jpg", "restarts.jpg", "garbage.jpg", "two.mpo"]:
        expect(name, [Image.open(folder / name).convert("RGB")], 4)
    expect("really.webp.jpg", [photo])
    clear = Image.fromarray(noise(1, (31, 29, 4)).astype("uint8"))
    for name, image in {
        "bits.png": Image.fromarray(noise(2, (31, 29)) > 127),
        "la.png": clear.convert("LA"),
        "rgba.PNG": clear,
        "palette.png": photo.quantize(100),
        "palette4.png": photo.quantize(9),
        "rgb.bmp": photo,
        "palette.bmp": photo.quantize(16),
        "bits.bmp": Image.fromarray(noise(3, (31, 29)) > 127),
        "rgb.ppm": photo,
        "gray.pgm": photo.convert("L"),
        "bits.pbm": Image.fromarray(noise(4, (31, 29)) > 127),
    }.items():
        image.save(folder / name)
        expect(name, [Image.open(folder / name)], 1)
    (folder / "few.pgm").write_bytes(b"P5\n# a comment\n3 2 100\n" + bytes([0, 50, 100, 20, 40, 60]))
    expect("few.pgm", [Image.open(folder / "few.pgm").convert("RGB")], 1)
    hole = photo.quantize(50)
    hole.save(folder / "transparent.png", transparency=7)
    expect("transparent.png", [Image.open(folder / "transparent.png").convert("RGBA")])
    alphas = bytes(range(0, 250, 5))
    hole.save(folder / "alphas.png", transparency=alphas)
    expect("alphas.png", [Image.open(folder / "alphas.png").convert("RGBA")], 1)
    photo.save(folder / "keyed.png", transparency=photo.getpixel((5, 5)))
    expect("keyed.png", [Image.open(folder / "keyed.png").convert("RGBA")])
    photo.save(folder / "image", format="PNG")
    expect("image", [photo])


def turned():
    """Orientation tags of every kind of file that has them."""
    photo = Image.fromarray(smooth(40, 24))
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        for name, options in {
            f"{turn}.jpg": dict(quality=95, subsampling=0),
            f"{turn}.png": {},
            f"{turn}.webp": dict(lossless=True),
            f"{turn}.tif": {},
            f"{turn}.avif": dict(quality=100, subsampling="4:4:4"),
        }.items():
            photo.save(folder / name, exif=exif, **options)
            expect(name, [ImageOps.exif_transpose(Image.open(folder / name)).convert("RGB")], 3)
    deep = noise(9, (24, 40), 100, 4000).astype("uint16")
    tifffile.imwrite(folder / "deep.tif", deep, extratags=[(274, "H", 1, 6, True)])
    expect("deep.tif", [gray(np.rot90(scaled(deep), -1))], 1)


def avif():
    """AVIF with alpha and without, gray, of 10 bits."""
    photo = Image.fromarray(smooth(98, 62))
    for name, tolerance, options in [
        ("full.avif", 3, dict(subsampling="4:4:4")),
        # Colors are interpolated otherwise.
        ("half.avif", 10, dict(subsampling="4:2:0")),
        ("limited.avif", 3, dict(subsampling="4:4:4", range="limited")),
    ]:
        photo.save(folder / name, quality=95, **options)
        expect(name, [Image.open(folder / name).convert("RGB")], tolerance)
    photo.convert("L").save(folder / "gray.avif", quality=95)
    expect("gray.avif", [Image.open(folder / "gray.avif").convert("RGB")], 3)
    clear = photo.convert("RGBA")
    clear.putalpha(Image.fromarray(np.linspace(0, 255, 98 * 62).reshape(62, 98).astype("uint8")))
    clear.save(folder / "clear.avif", quality=95, subsampling="4:4:4")
    expect("clear.avif", [Image.open(folder / "clear.avif")], 4)


def heic():
    """HEIC as phones write it: turned, and as a grid of tiles that reach beyond the image."""
    photo = smooth(128, 128)
    tile, settings = hevc(photo)
    single = [(1, b"hvc1", tile, [b"hvcC" + settings, ispe(128, 128), b"irot\1", b"imir\1"])]
    heif(folder / "turned.heic", single, [])
    # A quarter turn against the clock, then left and right change places.
    expect("turned.heic", [np.rot90(photo)[:, ::-1]], 8)
    whole = smooth(200, 150)
    padded = np.pad(whole, ((0, 106), (0, 56), (0, 0)), mode="edge")
    tiles = [hevc(padded[y : y + 128, x : x + 128]) for y in (0, 128) for x in (0, 128)]
    settings = tiles[0][1]
    shape = bytes([0, 0, 1, 1]) + (200).to_bytes(2, "big") + (150).to_bytes(2, "big")
    items = [(1, b"grid", shape, [ispe(200, 150), b"irot\3"])]
    items += [(2 + i, b"hvc1", data, [b"hvcC" + settings, ispe(128, 128)]) for i, (data, _) in enumerate(tiles)]
    heif(folder / "grid.HEIC", items, [(b"dimg", 1, [2, 3, 4, 5])])
    expect("grid.HEIC", [np.rot90(whole, -1)], 8)


def hevc(image):
    """A picture as HEVC: its slices with lengths, and the hvcC box's content."""
    height, width = image.shape[:2]
    command = f"ffmpeg -v error -f rawvideo -pix_fmt rgb24 -s {width}x{height} -i - -frames:v 1"
    command += " -vf scale=out_color_matrix=bt601:out_range=tv -pix_fmt yuv420p"
    command += " -c:v libx265 -preset fast -x265-params qp=8:info=0:log-level=none:colormatrix=smpte170m -f hevc -"
    stream = subprocess.run(command.split(), input=image.tobytes(), capture_output=True, check=True).stdout
    units = [unit.rstrip(b"\0") for unit in stream.split(b"\0\0\1") if unit.strip(b"\0")]
    kind = lambda unit: unit[0] >> 1 & 63
    settings = bytes([1]) + bytes(20) + bytes([3, 3])
    for n in (32, 33, 34):
        [unit] = [unit for unit in units if kind(unit) == n]
        settings += bytes([0x80 | n]) + (1).to_bytes(2, "big") + len(unit).to_bytes(2, "big") + unit
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units if kind(unit) < 32), settings


def ispe(width, height):
    return b"ispe" + bytes(4) + width.to_bytes(4, "big") + height.to_bytes(4, "big")


def heif(path, items, references):
    """A HEIF file of items (number, kind, data, properties), of which the first is the image."""

    def box(kind, *parts):
        body = b"".join(parts)
        return (8 + len(body)).to_bytes(4, "big") + kind + body

    def short(value):
        return value.to_bytes(2, "big")

    def meta(offset):
        entries, places, owned, properties = [], [], [], []
        for number, kind, data, wanted in items:
            entries.append(box(b"infe", b"\2\0\0\0", short(number), short(0), kind, b"\0"))
            places.append(short(number) + short(0) + short(1) + offset.to_bytes(4, "big") + len(data).to_bytes(4, "big"))
            offset += len(data)
            owned.append(short(number) + bytes([len(wanted)]))
            for one in wanted:
                properties.append(box(one[:4], one[4:]))
                owned[-1] += bytes([len(properties)])
        refer = [box(kind, short(source), short(len(to)), *map(short, to)) for kind, source, to in references]
        return box(
            b"meta",
            bytes(4),
            box(b"hdlr", bytes(8), b"pict", bytes(13)),
            box(b"pitm", bytes(4), short(items[0][0])),
            box(b"iloc", bytes(4), b"\x44\0", short(len(places)), *places),
            box(b"iinf", bytes(4), short(len(entries)), *entries),
            box(b"iref", bytes(4), *refer),
            box(b"iprp", box(b"ipco", *properties), box(b"ipma", bytes(4), len(owned).to_bytes(4, "big"), *owned)),
        )

    kind = box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    start = len(kind) + len(meta(0)) + 8
    path.write_bytes(kind + meta(start) + box(b"mdat", *(data for _, _, data, _ in items)))


def jxl():
    """JPEG XL as libjxl writes it, where this FFmpeg has it."""
    photo = smooth(98, 62)
    for name, distance in [("lossless.jxl", "0"), ("lossy.jxl", "1")]:
        command = "ffmpeg -v error -y -f rawvideo -pix_fmt rgb24 -s 98x62 -i - -frames:v 1 -c:v libjxl"
        command = command.split() + ["-distance", distance, "-f", "image2", str(folder / name)]
        if subprocess.run(command, input=photo.tobytes(), capture_output=True).returncode == 0:
            command = ["ffmpeg", "-v", "error", "-i", str(folder / name), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
            decoded = subprocess.run(command, capture_output=True, check=True).stdout
            expect(name, [np.frombuffer(decoded, np.uint8).reshape(62, 98, 3)], 1)


groups = [deep, tiff, pages, common, turned, avif, heic, jxl]
{group.__name__: group for group in groups}[sys.argv[1]]()
print(json.dumps(files))
