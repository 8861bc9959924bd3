# SPDX-License-Identifier: MIT
"""Writes images/ beside this file with Pillow: pictures of every kind, and what Pillow sees in them, as .npy.

    python tests/formats/make_images.py

name.png or name.jpg, and name.grey.npy and name.rgb.npy: (height, width, channels) of bytes.
"""
import os

import numpy as np
from PIL import Image

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "images")


def keep(name, image, **options):
    path = os.path.join(HERE, name)
    image.save(path, **options)
    see(path)


def see(path):
    seen = Image.open(path)
    if seen.mode == "RGBA":  # what is transparent lies on black
        seen = Image.alpha_composite(Image.new("RGBA", seen.size, (0, 0, 0, 255)), seen)
    for kind, mode in ("grey", "L"), ("rgb", "RGB"):
        pixels = np.asarray(seen.convert(mode))
        np.save(f"{path.rsplit('.', 1)[0]}.{kind}.npy", np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], -1)))


def main():
    os.makedirs(HERE, exist_ok=True)
    y, x = np.mgrid[0:13, 0:17]
    rgb = np.stack([x * 15, y * 19, (x + y) * 8], -1).astype(np.uint8)
    grey = (x * 9 + y * 7).astype(np.uint8)
    keep("grey_png.png", Image.fromarray(grey))
    keep("rgb_png.png", Image.fromarray(rgb))
    keep("palette_png.png", Image.fromarray(rgb).quantize(16))
    opaque = np.concatenate([rgb, np.full((13, 17, 1), 255, np.uint8)], -1)
    keep("rgba_png.png", Image.fromarray(opaque))
    keep("bits_png.png", Image.fromarray(grey > 100))
    keep("grey_jpg.jpg", Image.fromarray(grey), quality=90)
    keep("rgb_jpg.jpg", Image.fromarray(rgb), quality=90)
    keep("progressive_jpg.jpg", Image.fromarray(rgb), quality=90, progressive=True, subsampling=0)
    inks = Image.fromarray(np.concatenate([rgb, (y * 10 + x)[..., None].astype(np.uint8)], -1), mode="CMYK")
    keep("cmyk_jpg.jpg", inks, quality=90)
    # The same numbers, said to be YCCK, which Pillow reads and does not write: other colors.
    with open(os.path.join(HERE, "cmyk_jpg.jpg"), "rb") as f:
        file = f.read()
    adobe = file.index(b"Adobe")
    path = os.path.join(HERE, "ycck_jpg.jpg")
    with open(path, "wb") as f:
        f.write(file[:adobe + 11] + b"\2" + file[adobe + 12:])
    see(path)


main()
