#!/usr/bin/env python3
"""Makes the small models that the tests of detection run, with onnx 1.23.2: python make.py

- sum.onnx: two features of one bucket, scaled and added up.
- history.onnx: the same over three buckets.
- two_outputs.onnx, wide.onnx (two numbers for a bucket): what is no model of scores.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

HERE = Path(__file__).parent
SCALE = numpy_helper.from_array(np.array([0.5, 2.0], np.float32), "scale")


def model(name, shape, axes, outputs=("score",)):
    nodes = [helper.make_node("Mul", ["X", "scale"], ["scaled"])]
    for output in outputs:
        nodes.append(helper.make_node("ReduceSum", ["scaled", "axes"], [output], keepdims=0))
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None]) for output in outputs],
        [SCALE, numpy_helper.from_array(np.array(axes, np.int64), "axes")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    checker.check_model(made)
    save(made, HERE / f"{name}.onnx")


model("sum", [None, 2], [1])
model("history", [None, 3, 2], [1, 2])
model("two_outputs", [None, 2], [1], outputs=("score", "other"))
model("wide", [None, 2], [0])
