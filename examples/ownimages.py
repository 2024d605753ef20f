"""Try code of one's own on images (the bundle `strokes`): `python ownimages.py FOLDER SIDE`.

FOLDER holds a folder of grey PNG or JPEG files for each class, SIDE × SIDE pixels.
"""

import sys
from pathlib import Path

from secureflow import simulate

folder, side = Path(sys.argv[1]), int(sys.argv[2])
classes = sorted(one.name for one in folder.iterdir() if one.is_dir())
settings = {"column": "image", "classes": len(classes)}
bundle = {"family": "bundle", "folder": str(Path(__file__).parent / "strokes")}
images = [{"column": "image", "shape": [side, side, 1]}]
job = {
    "features": {"label": {"column": "label", "classes": classes}, "images": images},
    "model": {**bundle, "settings": settings, "sums": ["rows", "loss", "accuracy"]},
    "plan": {"rounds": 8, "validation": 0.3},
}
outcome = simulate(job, folder, parties=3, partition="dirichlet:1.0")
print("accuracy", outcome.metrics["accuracy"])
