"""A student leaves as ONNX and answers the same elsewhere."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from okd.networks import build


@pytest.mark.slow
def test_resnet32_answers_the_same_in_onnxruntime(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        import onnxruntime

        network = build("resnet32", 100, seed=0).eval()
        images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
        file = tmp_path / "resnet32.onnx"
        torch.onnx.export(network, (images,), str(file), input_names=["images"], output_names=["logits", "features"])
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    logits, features = (np.asarray(part) for part in session.run(None, {"images": images.numpy()}))
    with torch.no_grad():
        ours = [part.numpy() for part in network(images)]
    np.testing.assert_allclose(logits, ours[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features, ours[1], rtol=1e-4, atol=1e-5)
