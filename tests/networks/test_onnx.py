"""A student leaves as ONNX and answers the same elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from okd.networks import build


def compare(file: str) -> None:
    """Export a ResNet-32 and let onnxruntime answer."""
    import onnxruntime

    network = build("resnet32", 100, seed=0).eval()
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    torch.onnx.export(network, (images,), file, input_names=["images"], output_names=["logits", "features"])
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    logits, features = (np.asarray(part) for part in session.run(None, {"images": images.numpy()}))
    with torch.no_grad():
        ours = [part.numpy() for part in network(images)]
    np.testing.assert_allclose(logits, ours[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features, ours[1], rtol=1e-4, atol=1e-5)
    print("the same")


@pytest.mark.slow
def test_resnet32_answers_the_same_in_onnxruntime(tmp_path: Path) -> None:
    """In a process of its own: the exporter leaves threads behind, and no test that forks after it could train."""
    here = Path(__file__).parent
    paths = os.pathsep.join(map(str, (here, here.parents[1] / "src")))
    code = f"import test_onnx; test_onnx.compare({str(tmp_path / 'resnet32.onnx')!r})"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False)
    assert "the same" in done.stdout, done.stderr
