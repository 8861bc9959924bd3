# SPDX-License-Identifier: MIT
"""The models that make.py trains and saves: each function takes seeded random numbers and returns

    (model, inputs, targets, loss, metrics, loss_weights)

with ROWS rows of data, small enough that a file stays within some tens of KB.
"""

import keras
import numpy as np
from keras import layers, losses, metrics

ROWS = 40
KERAS2 = keras.__version__.startswith("2.")


def floats(rng, *shape):
    return rng.standard_normal((ROWS, *shape)).astype(np.float32)


def classes(rng, n, *shape):
    return rng.integers(0, n, (ROWS, *shape)).astype(np.int32)


def binary(rng, *shape):
    return rng.integers(0, 2, (ROWS, *shape)).astype(np.float32)


def mlp(rng):
    """Sequential: Dense, BatchNormalization, Dropout that drops nothing."""
    model = keras.Sequential([
        layers.Input((5,)), layers.Dense(4, activation="relu"), layers.BatchNormalization(),
        layers.Dropout(0.0), layers.Dense(3, activation="softmax")])  # fmt: skip
    return model, [floats(rng, 5)], [classes(rng, 3)], "sparse_categorical_crossentropy", ["accuracy"], None


def lazy(rng):
    """Sequential without an Input, built by the first batch."""
    model = keras.Sequential([layers.Dense(3, activation="tanh"), layers.Dense(1, activation="sigmoid")])
    return model, [floats(rng, 4)], [binary(rng, 1)], "binary_crossentropy", ["accuracy", "mae"], None


def branches(rng):
    """Functional: two inputs, two outputs, Concatenate, Add, one Dense used twice."""
    a, b = layers.Input((4,), name="a"), layers.Input((3,), name="b")
    shared = layers.Dense(4, activation="tanh", name="shared")
    left = shared(a)
    right = shared(layers.Dense(4, activation="relu")(b))
    both = layers.Add()([left, right])
    wide = layers.Concatenate()([both, b])
    out = layers.Dense(2, name="value")(wide)
    yes = layers.Dense(1, activation="sigmoid", name="yes")(layers.Concatenate(axis=-1)([left, wide]))
    model = keras.Model([a, b], [out, yes])
    return (model, [floats(rng, 4), floats(rng, 3)], [floats(rng, 2), binary(rng, 1)],
            ["mse", "binary_crossentropy"], [["mae"], ["accuracy"]], [1.0, 0.5])  # fmt: skip


def nested(rng):
    """Functional that holds a Sequential, and a Functional (used twice) that holds another Functional."""
    deep_in = layers.Input((3,))
    deep = keras.Model(deep_in, layers.BatchNormalization()(layers.Dense(3)(deep_in)), name="deep")
    mid_in = layers.Input((3,))
    mid = keras.Model(mid_in, layers.Dense(2, activation="tanh")(layers.Add()([deep(mid_in), mid_in])), name="mid")
    seq = keras.Sequential([layers.Input((4,)), layers.Dense(3, activation="relu"), layers.BatchNormalization(),
                            layers.Dense(3)], name="seq")  # fmt: skip
    a, b = layers.Input((4,), name="a"), layers.Input((3,), name="b")
    joined = layers.Concatenate()([mid(seq(a)), mid(b)])
    model = keras.Model([a, b], [layers.Dense(1, name="u")(joined),
                                 layers.Dense(3, activation="softmax", name="v")(joined)])  # fmt: skip
    return (model, [floats(rng, 4), floats(rng, 3)], [floats(rng, 1), classes(rng, 3)],
            {"u": "mse", "v": "sparse_categorical_crossentropy"}, {"u": ["mae"], "v": ["accuracy"]}, None)  # fmt: skip


def conv(rng):
    """Normalization (adapted), every convolution, pooling, an L2 regularizer."""
    x = floats(rng, 6, 6, 2) * np.float32(2) + np.float32(1)
    norm = layers.Normalization()
    norm.adapt(x)
    i = layers.Input((6, 6, 2))
    t = layers.Conv2D(3, 3, padding="same", activation="relu", kernel_regularizer=keras.regularizers.L2(0.01))(norm(i))
    t = layers.BatchNormalization()(t)
    t = layers.DepthwiseConv2D(3, padding="same")(t)
    t = layers.SeparableConv2D(3, 3, padding="same", activation="relu")(t)
    t = layers.MaxPooling2D(2)(t)
    t = layers.Conv2DTranspose(2, 3, strides=2, padding="same")(t)
    t = layers.AveragePooling2D(2)(t)
    t = layers.SeparableConv2D(2, 2, use_bias=False)(t)
    t = layers.GlobalAveragePooling2D()(t)
    model = keras.Model(i, layers.Dense(3, activation="softmax")(t))
    return model, [x], [classes(rng, 3)], losses.SparseCategoricalCrossentropy(), ["accuracy"], None


def text(rng):
    """Embedding, LayerNormalization, GroupNormalization, Conv1D; loss and metrics given as objects."""
    i = layers.Input((5,), dtype="int32")
    t = layers.Embedding(7, 4)(i)
    t = layers.LayerNormalization()(t)
    t = layers.Conv1D(4, 2)(t)
    t = layers.GroupNormalization(groups=2)(t)
    t = layers.GlobalAveragePooling1D()(layers.PReLU()(t))
    model = keras.Model(i, layers.Dense(3)(t))
    return (model, [classes(rng, 7, 5)], [classes(rng, 3)], losses.SparseCategoricalCrossentropy(from_logits=True),
            [metrics.SparseCategoricalAccuracy(), metrics.SparseTopKCategoricalAccuracy(k=2, name="top2")],
            None)  # fmt: skip


def collide(rng):
    """Two nested models whose layers have the same names, and a layer outside of that name."""
    def inner(name, size):
        return keras.Sequential([
            layers.Input((size,)), layers.Dense(3, activation="relu", name="dense"),
            layers.BatchNormalization(name="norm"), layers.Dense(2, name="dense_1")], name=name)  # fmt: skip

    a = layers.Input((4,))
    one, two = inner("one", 4), inner("two", 2)
    model = keras.Model(a, layers.Dense(1, name="dense")(two(one(a))))
    return model, [floats(rng, 4)], [floats(rng, 1)], "mse", ["mae"], None


def names(rng):
    """Names that are not identifiers: non-ASCII and spaces (TensorFlow's scopes refuse those), dots, dashes, "vars"."""
    one, two, three = ("gr-sse.1", "a_b>c", "m-1.x") if KERAS2 else ("größe.1", "層 一", "модель")
    model = keras.Sequential([
        layers.Input((4,), name="in-put"), layers.Dense(3, activation="relu", name=one),
        layers.BatchNormalization(name=two), layers.Dense(1, name="vars")], name=three)  # fmt: skip
    return model, [floats(rng, 4)], [floats(rng, 1)], "mse", ["mae"], None


def slashes(rng):
    """Names with slashes, one the beginning of another; Keras 3 refuses them."""
    a = layers.Input((4, 4, 1))
    t = layers.Conv2D(2, 2, activation="relu", name="block/conv")(a)
    t = layers.BatchNormalization(name="block/conv/bn")(t)
    t = layers.Conv2D(2, 2, name="block")(t)
    model = keras.Model(a, layers.Dense(1, name="head/a.b-c")(layers.Flatten(name="head")(t)))
    return model, [floats(rng, 4, 4, 1)], [floats(rng, 1)], "mse", ["mae"], None


def half(rng):
    """Layers of float16 and bfloat16 weights, and mixed ones that compute in half and hold float32."""
    a = layers.Input((4,))
    t = layers.Dense(3, activation="relu", dtype="float16", name="f16")(a)
    t = layers.Dense(3, activation="tanh", dtype="bfloat16", name="bf16")(t)
    t = layers.BatchNormalization(dtype="bfloat16", name="bf16_norm")(t)
    t = layers.Dense(3, dtype="mixed_float16" if not KERAS2 else keras.mixed_precision.Policy("mixed_float16"),
                     name="mixed_f16")(t)  # fmt: skip
    t = layers.Dense(3, dtype="mixed_bfloat16" if not KERAS2 else keras.mixed_precision.Policy("mixed_bfloat16"),
                     name="mixed_bf16")(t)  # fmt: skip
    model = keras.Model(a, layers.Dense(1, dtype="float32", name="f32")(t))
    return model, [floats(rng, 4)], [floats(rng, 1)], "mse", ["mae"], None


def frozen(rng):
    """Layers that do not train, mixed with ones that do: weights and slots then have different orders."""
    seq = keras.Sequential([layers.Input((3,)), layers.Dense(3), layers.BatchNormalization(), layers.Dense(3)])
    seq.layers[0].trainable = False
    whole = keras.Sequential([layers.Input((3,)), layers.Dense(3, activation="tanh"), layers.BatchNormalization()])
    whole.trainable = False
    model = keras.Sequential([
        layers.Input((4,)), layers.BatchNormalization(), layers.Dense(3, activation="relu", trainable=False),
        layers.BatchNormalization(trainable=False), seq, layers.Dense(3, use_bias=False), whole,
        layers.Dense(1)])  # fmt: skip
    for layer in model.layers:
        if not layer.trainable:
            layer.trainable = False  # once more, now that it is built: Keras 3.0 forgets the constructor's
    return model, [floats(rng, 4)], [floats(rng, 1)], "mse", ["mae"], None


def wrapped(rng):
    """Nested models, one used twice, whose outputs are the outer model's outputs."""
    size = layers.Input((3,), name="size")
    base = keras.Model(size, layers.BatchNormalization()(layers.Dense(2, activation="relu")(size)), name="base")
    head = keras.Sequential([layers.Input((3,)), layers.Dense(2), layers.Dense(1)], name="head")
    a = layers.Input((3,))
    b = layers.Dense(3, activation="tanh")(a)
    model = keras.Model(a, [base(b), head(b), base(a)])
    return (model, [floats(rng, 3)], [floats(rng, 2), floats(rng, 1), floats(rng, 2)], ["mse", "mae", "mse"],
            None, None)  # fmt: skip


def random(rng):
    """Layers that draw random numbers, and so hold the state of a generator."""
    model = keras.Sequential([
        layers.Input((4,)), layers.Dense(3), layers.Dropout(0.5, seed=7), layers.GaussianNoise(0.3),
        layers.Dropout(0.25), layers.Dense(1)])  # fmt: skip
    return model, [floats(rng, 4)], [floats(rng, 1)], "mse", ["mae"], None


def long_names(rng):
    """So long a name that the legacy file must cut its lists of names into several attributes."""
    name = "x" * 2100
    model = keras.Sequential([layers.Input((2,)), layers.Dense(2, name=name)]
                             + [layers.ReLU() for _ in range(30)] + [layers.Dense(1)])  # fmt: skip
    return model, [floats(rng, 2)], [floats(rng, 1)], "mse", None, None


def tiny(rng):
    """Two layers, for the optimizers."""
    model = keras.Sequential([layers.Input((3,)), layers.Dense(2, activation="tanh"), layers.Dense(1)])
    return model, [floats(rng, 3)], [floats(rng, 1)], "mse", ["mae"], None
