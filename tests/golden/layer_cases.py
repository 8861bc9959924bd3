# SPDX-License-Identifier: MIT
"""Every layer with its options: tables of (class, input shapes, {variant: arguments}, how).

One row is one layer class over one set of inputs; each variant becomes the case CLASS_VARIANT, a
model of InputLayer and that layer. Names alone decide whether it is Sequential or Functional.
`how`: "train" (outputs, gradients) or "infer" (random or untrainable layers: inference only).
"""

import zlib

from common import Fixture, add_model, fresh, integers, keras, normal, pack, rng_for
from keras.src.applications.convnext import LayerScale
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

EXTRA = {"LayerScale": LayerScale, "CustomScaleLayer": CustomScaleLayer}


class Ids:
    """An int32 input: ids below `high` of the given shape."""

    def __init__(self, high, *shape):
        self.high, self.shape = high, shape


V, S = "valid", "same"
IMAGE = [(7, 6, 3)]
ROW = [(9, 4)]

CONV = [
    ("Dense", [(5,)], {
        "plain": dict(units=3),
        "relu": dict(units=4, activation="relu"),
        "no_bias_tanh": dict(units=3, use_bias=False, activation="tanh"),
        "softmax": dict(units=5, activation="softmax"),
        "one": dict(units=1, activation="sigmoid"),
        "frozen": dict(units=3, trainable=False),
        "wide": dict(units=67, activation="gelu"),
    }),
    ("Dense", [(4, 5)], {"rank3": dict(units=3, activation="gelu")}),
    ("Dense", [(2, 3, 5)], {"rank4": dict(units=7, activation="softmax")}),
    ("Dense", [(None, 5)], {"rank3_any_length": dict(units=3)}),
    ("Conv1D", ROW, {
        "valid": dict(filters=5, kernel_size=3),
        "same": dict(filters=3, kernel_size=4, padding=S, activation="relu"),
        "same_stride2": dict(filters=3, kernel_size=4, strides=2, padding=S),
        "causal": dict(filters=3, kernel_size=3, padding="causal"),
        "causal_dilated": dict(filters=3, kernel_size=3, padding="causal", dilation_rate=2),
        "causal_stride2": dict(filters=3, kernel_size=4, padding="causal", strides=2),
        "groups": dict(filters=6, kernel_size=3, groups=2, use_bias=False),
        "dilated_same": dict(filters=3, kernel_size=3, padding=S, dilation_rate=3),
        "kernel1": dict(filters=5, kernel_size=1, activation="tanh"),
    }),
    ("Conv2D", IMAGE, {
        "valid": dict(filters=4, kernel_size=3),
        "same": dict(filters=4, kernel_size=3, padding=S, activation="relu"),
        "same_even": dict(filters=4, kernel_size=(4, 2), padding=S),
        "same_even_stride2": dict(filters=5, kernel_size=(4, 2), strides=2, padding=S),
        "same_stride2": dict(filters=4, kernel_size=3, strides=2, padding=S),
        "same_stride3_kernel2": dict(filters=4, kernel_size=2, strides=3, padding=S),
        "valid_strides_differ": dict(filters=4, kernel_size=(3, 2), strides=(2, 3)),
        "dilated": dict(filters=4, kernel_size=3, dilation_rate=2),
        "dilated_same_differ": dict(filters=4, kernel_size=(3, 2), dilation_rate=(2, 3), padding=S),
        "kernel1": dict(filters=5, kernel_size=1),
        "kernel1_stride2": dict(filters=5, kernel_size=1, strides=2),
        "no_bias": dict(filters=3, kernel_size=3, use_bias=False, activation="sigmoid"),
        "groups_depth": dict(filters=6, kernel_size=3, groups=3, padding=S),
        "whole_image": dict(filters=5, kernel_size=(7, 6)),
        "softmax": dict(filters=4, kernel_size=2, activation="softmax"),
        "frozen": dict(filters=4, kernel_size=2, trainable=False),
    }),
    ("Conv2D", [(6, 5, 4)], {
        "groups2": dict(filters=6, kernel_size=3, groups=2),
        "groups2_stride2_same": dict(filters=4, kernel_size=4, groups=2, strides=2, padding=S),
        "groups_dilated": dict(filters=4, kernel_size=2, groups=4, dilation_rate=2),
    }),
    ("Conv2D", [(5, 6, 1)], {"one_channel": dict(filters=9, kernel_size=3)}),
    ("Conv2D", [(None, None, 3)], {"any_size": dict(filters=4, kernel_size=3, padding=S)}),
    ("Conv2D", [(6, 6, 17)], {
        "channels17": dict(filters=19, kernel_size=3, padding=S, activation="relu"),
    }),
    ("Conv2DTranspose", [(4, 5, 3)], {
        "valid": dict(filters=4, kernel_size=3),
        "same": dict(filters=4, kernel_size=3, padding=S),
        "same_stride2": dict(filters=4, kernel_size=3, strides=2, padding=S, activation="relu"),
        "valid_stride2": dict(filters=4, kernel_size=3, strides=2),
        "same_even_stride2": dict(filters=3, kernel_size=(4, 2), strides=2, padding=S),
        "valid_even_stride_differ": dict(filters=3, kernel_size=(2, 4), strides=(3, 2)),
        "same_kernel_below_stride": dict(filters=3, kernel_size=2, strides=3, padding=S),
        "valid_kernel_below_stride": dict(filters=3, kernel_size=2, strides=3),
        "output_padding_valid": dict(filters=3, kernel_size=3, strides=2, output_padding=1),
        "output_padding_same": dict(
            filters=3, kernel_size=3, strides=2, output_padding=1, padding=S),
        "output_padding_pair": dict(
            filters=3, kernel_size=(3, 4), strides=3, output_padding=(0, 2), padding=S),
        "dilated": dict(filters=3, kernel_size=3, dilation_rate=2),
        "dilated_same": dict(filters=3, kernel_size=(3, 2), dilation_rate=(2, 3), padding=S),
        "no_bias": dict(filters=5, kernel_size=2, use_bias=False),
    }),
    ("DepthwiseConv2D", IMAGE, {
        "valid": dict(kernel_size=3),
        "same": dict(kernel_size=3, padding=S, activation="relu"),
        "multiplier2": dict(kernel_size=(3, 2), depth_multiplier=2),
        "multiplier3_same_stride2": dict(
            kernel_size=4, depth_multiplier=3, strides=2, padding=S),
        "same_stride2": dict(kernel_size=3, strides=2, padding=S),
        "dilated": dict(kernel_size=2, dilation_rate=(2, 3)),
        "no_bias": dict(kernel_size=5, padding=S, use_bias=False),
    }),
    ("DepthwiseConv2D", [(6, 7, 17)], {"channels17": dict(kernel_size=3, padding=S)}),
    ("SeparableConv2D", IMAGE, {
        "valid": dict(filters=4, kernel_size=3),
        "same_relu": dict(filters=5, kernel_size=3, padding=S, activation="relu"),
        "multiplier2_stride2": dict(
            filters=4, kernel_size=3, depth_multiplier=2, strides=2, padding=S),
        "no_bias": dict(filters=4, kernel_size=2, use_bias=False),
        "dilated": dict(filters=4, kernel_size=2, dilation_rate=2),
    }),
]  # fmt: skip

POOL_1D = {
    "default": dict(pool_size=2),
    "overlap": dict(pool_size=3, strides=2),
    "same": dict(pool_size=3, strides=2, padding=S),
    "same_stride1": dict(pool_size=4, strides=1, padding=S),
    "gaps": dict(pool_size=2, strides=3),
}
POOL_2D = {
    "default": dict(pool_size=2),
    "overlap": dict(pool_size=3, strides=2),
    "same": dict(pool_size=3, strides=2, padding=S),
    "same_pair": dict(pool_size=(2, 3), strides=(3, 2), padding=S),
    "same_stride1": dict(pool_size=(4, 2), strides=1, padding=S),
    "pair_default_strides": dict(pool_size=(3, 2)),
    "stride1": dict(pool_size=2, strides=1),
}
GLOBAL = {"plain": dict(), "keepdims": dict(keepdims=True)}

POOL = [
    ("MaxPooling1D", ROW, POOL_1D),
    ("AveragePooling1D", ROW, POOL_1D),
    ("MaxPooling2D", IMAGE, POOL_2D),
    ("AveragePooling2D", IMAGE, POOL_2D),
    ("MaxPooling2D", [Ids(3, 7, 6, 2)], {"ties": dict(pool_size=3, strides=2, padding=S)}),
    ("GlobalMaxPooling2D", [Ids(2, 4, 3, 2)], {"ties": dict()}),
    ("GlobalAveragePooling1D", ROW, GLOBAL),
    ("GlobalMaxPooling1D", ROW, GLOBAL),
    ("GlobalAveragePooling2D", IMAGE, GLOBAL),
    ("GlobalMaxPooling2D", IMAGE, GLOBAL),
    ("GlobalAveragePooling2D", [(None, None, 3)], {"any_size": dict()}),
]

BATCH_NORM = {
    "plain": dict(), "options": dict(momentum=0.7, epsilon=0.05), "no_center": dict(center=False),
    "no_scale": dict(scale=False), "neither": dict(center=False, scale=False),
    "frozen": dict(trainable=False),
}  # fmt: skip
NORM = [
    ("BatchNormalization", IMAGE, BATCH_NORM),
    ("BatchNormalization", IMAGE, {"axis1": dict(axis=1), "axis2": dict(axis=2, scale=False)}),
    ("BatchNormalization", [(5,)], {"rank2": dict(), "rank2_frozen": dict(trainable=False)}),
    ("BatchNormalization", ROW, {"rank3": dict(momentum=0.5), "rank3_axis1": dict(axis=1)}),
    ("LayerNormalization", [(7,)], {
        "plain": dict(),
        "epsilon": dict(epsilon=0.1),
        "no_center": dict(center=False), "no_scale": dict(scale=False),
        "neither": dict(center=False, scale=False),
        "rms_scaling": dict(rms_scaling=True),
    }),
    ("LayerNormalization", [(4, 5, 3)], {
        "rank4": dict(),
        "axis1": dict(axis=1),
        "axes12": dict(axis=[1, 2]),
        "axes_all": dict(axis=[-1, 1, 2], center=False),
        "axes13": dict(axis=[1, 3]),
        "rms_scaling_axis2": dict(axis=2, rms_scaling=True),
    }),
    ("GroupNormalization", [(4, 5, 6)], {
        "groups1": dict(groups=1), "groups2": dict(groups=2),
        "groups3_epsilon": dict(groups=3, epsilon=0.05),
        "groups6": dict(groups=6),
        "instance": dict(groups=-1),
        "no_center": dict(groups=2, center=False),
        "no_scale": dict(groups=3, scale=False),
        "axis1": dict(groups=2, axis=1),
    }),
    ("GroupNormalization", [(6,)], {"rank2": dict(groups=3)}),
    ("GroupNormalization", [(5, 6)], {"rank3": dict(groups=2)}),
    ("LayerScale", [(3, 4, 5)], {"rank4": dict(init_values=1e-6, projection_dim=5)}),
    ("LayerScale", [(4,)], {"rank2": dict(init_values=0.1, projection_dim=4)}),
    ("Rescaling", IMAGE, {
        "scale": dict(scale=1 / 127.5),
        "offset": dict(scale=0.5, offset=-1.0),
        "vector": dict(scale=[0.1, 0.2, 0.3], offset=[1.0, 2.0, -3.0]),
    }),
    ("Normalization", IMAGE, {
        "given": dict(axis=-1, mean=[0.1, -0.5, 2.0], variance=[1.5, 0.2, 3.0]),
        "given_scalar": dict(axis=None, mean=0.4, variance=2.5),
        "given_axis1": dict(axis=1, mean=[0.1 * i for i in range(7)],
                            variance=[1.0 + i for i in range(7)]),
        "invert": dict(axis=-1, mean=[0.1, -0.5, 2.0], variance=[1.5, 0.2, 3.0], invert=True),
        "zero_variance": dict(axis=-1, mean=[0.1, -0.5, 2.0], variance=[1.5, 0.0, 3.0]),
        "weights": dict(axis=-1),
        "weights_invert": dict(axis=-1, invert=True),
        "weights_two_axes": dict(axis=(1, 3)),
        "weights_all": dict(axis=None),
    }),
    ("Normalization", [(5,)], {"rank2_weights": dict()}),
]  # fmt: skip

SHAPE = [
    ("Flatten", IMAGE, {"rank4": dict()}),
    ("Flatten", [(5,)], {"rank2": dict()}),
    ("Flatten", [()], {"rank1": dict()}),
    ("Reshape", [(4, 6)], {
        "plain": dict(target_shape=(3, 8)),
        "infer": dict(target_shape=(2, -1, 3)),
        "infer_flat": dict(target_shape=(-1,)),
    }),
    ("Permute", [(4, 5, 3)], {
        "231": dict(dims=(2, 3, 1)), "213": dict(dims=(2, 1, 3)), "321": dict(dims=(3, 2, 1)),
        "123": dict(dims=(1, 2, 3)),
    }),
    ("Permute", [(4, 5)], {"21": dict(dims=(2, 1))}),
    ("ZeroPadding2D", IMAGE, {
        "one": dict(), "two": dict(padding=2), "pair": dict(padding=(1, 3)),
        "asymmetric": dict(padding=((0, 1), (2, 0))),
    }),
    ("Cropping2D", IMAGE, {
        "one": dict(cropping=1), "pair": dict(cropping=(2, 1)),
        "asymmetric": dict(cropping=((0, 3), (2, 1))), "zero": dict(cropping=0),
    }),
    ("UpSampling2D", [(4, 3, 3)], {
        "nearest": dict(), "nearest_pair": dict(size=(3, 2)),
        "bilinear": dict(interpolation="bilinear"),
        "bilinear_pair": dict(size=(2, 3), interpolation="bilinear"),
        "bicubic": dict(interpolation="bicubic"), "lanczos3": dict(interpolation="lanczos3"),
        "lanczos5": dict(size=(3, 2), interpolation="lanczos5"),
        "one": dict(size=1, interpolation="bilinear"),
    }),
    ("Resizing", IMAGE, {
        f"{kind}{tag}": dict(height=h, width=w, interpolation=kind, **more)
        for kind in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
        for tag, h, w, more in (
            ("_up", 11, 9, {}), ("_down", 3, 4, {}), ("_mixed", 5, 10, {}),
            ("_antialias", 3, 4, {"antialias": True}),
        )
    }, "infer"),
    ("Resizing", IMAGE, {
        "same_size": dict(height=7, width=6),
        "crop": dict(height=4, width=8, crop_to_aspect_ratio=True),
        "crop_wide": dict(height=9, width=3, crop_to_aspect_ratio=True, interpolation="nearest"),
        "pad": dict(height=4, width=9, pad_to_aspect_ratio=True),
        "pad_value": dict(height=9, width=4, pad_to_aspect_ratio=True, fill_value=0.5),
    }, "infer"),
    ("Resizing", [(None, None, 2)], {"any_size": dict(height=6, width=5)}, "infer"),
    ("Concatenate", [(4, 3), (4, 5)], {"two": dict()}),
    ("Concatenate", [(4, 3), (2, 3), (5, 3)], {"axis1": dict(axis=1)}),
    ("Concatenate", [(3, 4, 2), (3, 1, 2)], {"axis2": dict(axis=2), "axis_m2": dict(axis=-2)}),
    ("Identity", IMAGE, {"plain": dict()}),
    ("Embedding", [Ids(7, 5)], {"plain": dict(input_dim=7, output_dim=3)}),
    ("Embedding", [Ids(4, 3, 2)], {"rank3": dict(input_dim=4, output_dim=5)}),
    ("Embedding", [Ids(9)], {"rank1": dict(input_dim=9, output_dim=2)}),
]  # fmt: skip

MERGE = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
MERGE_ROWS = []
for cls in MERGE:
    MERGE_ROWS += [
        (cls, [(4, 3), (4, 3)], {"two": dict()}),
        (cls, [(4, 5, 3), (1, 1, 3)], {"broadcast_image": dict()}),
        (cls, [(4, 1), (4, 3)], {"broadcast_last": dict()}),
    ]
    if cls != "Subtract":
        MERGE_ROWS += [
            (cls, [(4, 3), (4, 3), (4, 3)], {"three": dict()}),
            (cls, [(1, 5, 3), (4, 1, 3), (4, 5, 1)], {"broadcast_three": dict()}),
        ]
MERGE_ROWS += [
    ("CustomScaleLayer", [(4, 3), (4, 3)], {"plain": dict(scale=0.17)}),
    ("Multiply", [(4, 3), (3,)], {"ranks_differ": dict()}),
    ("Add", [(3,), (4, 3)], {"ranks_differ": dict()}),
]

ACTIVATE = [
    ("Activation", [(6,)], {
        "relu": dict(activation="relu"), "softmax": dict(activation="softmax"),
        "linear": dict(activation="linear"), "hard_silu": dict(activation="hard_silu"),
    }),
    ("ReLU", IMAGE, {
        "plain": dict(), "max6": dict(max_value=6.0), "max_half": dict(max_value=0.5),
        "slope": dict(negative_slope=0.1), "threshold": dict(threshold=0.3),
        "all": dict(max_value=1.0, negative_slope=0.2, threshold=0.25),
        "threshold_slope": dict(negative_slope=0.3, threshold=0.4),
        "threshold_max": dict(max_value=0.8, threshold=0.2),
    }),
    ("LeakyReLU", IMAGE, {"default": dict(), "slope": dict(negative_slope=0.05)}),
    ("PReLU", IMAGE, {
        "full": dict(), "shared": dict(shared_axes=[1, 2]), "shared1": dict(shared_axes=[1]),
    }),
    ("PReLU", [(5,)], {"rank2": dict()}),
    ("ELU", IMAGE, {"default": dict(), "alpha": dict(alpha=0.4)}),
    ("Softmax", [(4, 5, 3)], {
        "default": dict(), "axis1": dict(axis=1), "axis_m2": dict(axis=-2),
        "axes": dict(axis=(1, 2)),
    }),
    ("Dropout", [(6, 4)], {"zero": dict(rate=0.0)}),
    ("SpatialDropout2D", IMAGE, {"zero": dict(rate=0.0)}),
    ("SpatialDropout1D", [(5, 3)], {"zero": dict(rate=0.0)}),
    ("ZeroPadding1D", [(5, 3)], {"int": dict(padding=2), "pair": dict(padding=(1, 0))}),
    ("Cropping1D", [(7, 3)], {"int": dict(cropping=2), "pair": dict(cropping=(1, 3))}),
    ("UpSampling1D", [(5, 3)], {"2": dict(size=2), "3": dict(size=3)}),
    ("RepeatVector", [(5,)], {"3": dict(n=3)}),
    ("ActivityRegularization", [(6,)], {"both": dict(l1=0.01, l2=0.02)}),
    ("GaussianNoise", IMAGE, {"zero": dict(stddev=0.0)}),
    ("Dropout", [(6, 4)], {
        "half": dict(rate=0.5, seed=3), "noise_shape": dict(rate=0.3, noise_shape=(None, 1, 4)),
    }, "infer"),
    ("SpatialDropout2D", IMAGE, {"random": dict(rate=0.4)}, "infer"),
    ("GaussianNoise", IMAGE, {"random": dict(stddev=0.7, seed=5)}, "infer"),
]  # fmt: skip

L1, L2, L12 = "l1", keras.regularizers.L2(0.03), keras.regularizers.L1L2(l1=0.02, l2=0.04)
L1S = keras.regularizers.L1(0.05)

# Trained for twenty steps with MSE, so that the losses show each penalty.
REGULARIZED = [
    ("Dense", [(5,)], {
        "kernel_l1": dict(units=3, kernel_regularizer=L1),
        "kernel_l2": dict(units=3, kernel_regularizer=L2),
        "bias_l1l2": dict(units=3, bias_regularizer=L12),
        "activity_l2": dict(units=3, activation="relu", activity_regularizer=L2),
        "every": dict(units=3, kernel_regularizer=L12, bias_regularizer=L1S,
                      activity_regularizer=L12),
        "frozen_l2": dict(units=3, kernel_regularizer=L2, trainable=False),
        "kernel_l2_name": dict(units=3, kernel_regularizer="l2"),
    }),
    ("Conv1D", ROW, {"l1l2": dict(filters=3, kernel_size=2, kernel_regularizer=L12)}),
    ("Conv2D", IMAGE, {
        "every": dict(filters=3, kernel_size=3, kernel_regularizer=L2, bias_regularizer=L1S,
                      activity_regularizer=L12),
    }),
    ("Conv2DTranspose", IMAGE, {
        "l2": dict(filters=3, kernel_size=2, kernel_regularizer=L2, bias_regularizer=L2)}),
    ("DepthwiseConv2D", IMAGE, {
        "l2": dict(kernel_size=2, depthwise_regularizer=L2, bias_regularizer=L1S)}),
    ("SeparableConv2D", IMAGE, {
        "every": dict(filters=3, kernel_size=2, depthwise_regularizer=L1S,
                      pointwise_regularizer=L2, bias_regularizer=L12)}),
    ("BatchNormalization", ROW, {
        "l1l2": dict(beta_regularizer=L12, gamma_regularizer=L2, momentum=0.8)}),
    ("LayerNormalization", ROW, {"l2": dict(beta_regularizer=L12, gamma_regularizer=L2)}),
    ("GroupNormalization", ROW, {
        "l2": dict(groups=2, beta_regularizer=L12, gamma_regularizer=L2)}),
    ("PReLU", ROW, {"l1": dict(alpha_regularizer=L1S)}),
    ("Embedding", [Ids(6, 4)], {
        "l2": dict(input_dim=6, output_dim=3, embeddings_regularizer=L2),
        "activity": dict(input_dim=6, output_dim=3, activity_regularizer=L1S),
    }),
    ("Activation", ROW, {"activity": dict(activation="tanh", activity_regularizer=L12)}),
]  # fmt: skip


def make_inputs(name, inputs, batch):
    rng, xs, tensors = rng_for(name), [], []
    for shape in inputs:
        if isinstance(shape, Ids):
            dtype = "int32" if "Embedding" in name else keras.config.floatx()
            xs.append(integers(rng, shape.high, (batch, *shape.shape)).astype(dtype))
            tensors.append(keras.Input(shape.shape, dtype=dtype))
        else:
            known = [5 if d is None else d for d in shape]
            xs.append(normal(rng, (batch, *known)))
            tensors.append(keras.Input(shape))
    return xs, tensors


def add_layer(fixture, cls, inputs, variant, kwargs, how):
    name = f"{cls}_{variant}" + ("_regularized" if how == "regularized" else "")
    fresh(name)
    seed = zlib.crc32(name.encode())
    xs, tensors = make_inputs(name, inputs, 2 + seed % 4)
    layer = (EXTRA.get(cls) or getattr(keras.layers, cls))(**kwargs)
    if len(tensors) == 1 and seed & 8:
        model = keras.Sequential([tensors[0], layer])
    else:
        model = keras.Model(pack(tensors), layer(pack(tensors)))
    extra = {}
    if how == "regularized":
        target = normal(rng_for(name + "/y"), (len(xs[0]), *model.output_shape[1:]))
        optimizer = keras.optimizers.SGD(learning_rate=0.05)
        extra = dict(compile=dict(optimizer=optimizer, loss="mse"), ys=[target])
    add_model(fixture, name, [cls, "InputLayer"], model, xs, differentiate=how != "infer", **extra)


def make():
    fixture = Fixture("layers")
    rows = [r if len(r) == 4 else (*r, "train") for r in
            CONV + POOL + NORM + SHAPE + MERGE_ROWS + ACTIVATE]  # fmt: skip
    rows += [(*r, "regularized") for r in REGULARIZED]
    for cls, inputs, variants, how in rows:
        for variant, kwargs in variants.items():
            try:
                add_layer(fixture, cls, inputs, variant, kwargs, how)
            except Exception as error:
                raise RuntimeError(f"case {cls}_{variant}") from error
    fixture.save()
