"""Try a network on images before anybody is asked: `python examples/images.py FOLDER SIDE`.

FOLDER holds a folder of grey PNG or JPEG files for each class, SIDE × SIDE pixels.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from secureflow import simulate

folder, side = Path(sys.argv[1]), int(sys.argv[2])
classes = sorted(one.name for one in folder.iterdir() if one.is_dir())
images = [{"column": "image", "shape": [side, side, 1]}]
cnn = {"family": "torch_cnn", "channels": [8, 16], "optimiser": {"momentum": 0.9}}
job = {
    "features": {"label": {"column": "label", "classes": classes}, "images": images},
    "model": cnn if find_spec("torch") else {"family": "mlp", "hidden": [32]},
    "plan": {"rounds": 8, "batch_size": 16, "learning_rate": 0.05, "validation": 0.3},
}  # submitted to a platform it trains on what its owners publish: docs/data.md
outcome = simulate(job, folder, parties=3, partition="dirichlet:1.0")
print("accuracy", outcome.metrics["accuracy"])
