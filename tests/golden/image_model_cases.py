# SPDX-License-Identifier: MIT
"""Whole models on images, trained for twenty steps: see model_cases.py, which lists them."""

from common import f32, integers, keras, normal
from keras import Input, Model, Sequential, layers, losses, optimizers, regularizers
from keras.src.applications.convnext import LayerScale
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

Dense, Conv2D, BatchNorm = layers.Dense, layers.Conv2D, layers.BatchNormalization


def one_hot(rng, classes, rows):
    return f32(keras.utils.to_categorical(rng.integers(0, classes, rows), classes))


def result(model, covers, xs, ys, optimizer, loss, **more):
    compile_keys = ("loss_weights", "metrics", "weighted_metrics")
    arguments = {k: more.pop(k) for k in compile_keys if k in more}
    compile = dict(optimizer=optimizer, loss=loss, **arguments)
    return dict(model=model, covers=covers.split(), xs=xs, ys=ys, compile=compile, **more)


def cnn(rng):
    l2 = regularizers.L2(0.001)
    model = Sequential([
        Input((12, 12, 1)),
        Conv2D(6, 3, activation="relu", kernel_regularizer=l2), BatchNorm(),
        layers.MaxPooling2D(2),
        Conv2D(4, 3, activation="relu", kernel_regularizer=l2), BatchNorm(),
        layers.MaxPooling2D(2),
        layers.Flatten(), layers.Dropout(0.0), Dense(10, activation="softmax"),
    ])  # fmt: skip
    return result(
        model, "Sequential Conv2D BatchNormalization MaxPooling2D Flatten Dropout Dense Adam",
        [normal(rng, (16, 12, 12, 1))], [integers(rng, 10, (16, 1))], optimizers.Adam(),
        "sparse_categorical_crossentropy", metrics=["accuracy"], batch=4,
    )  # fmt: skip


def resnet(rng):
    def block(x, filters, stride):
        short = x
        if stride > 1:
            short = Conv2D(filters, 1, strides=stride, use_bias=False)(x)
            short = BatchNorm()(short)
        x = Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x)
        x = layers.Activation("relu")(BatchNorm()(x))
        x = BatchNorm()(Conv2D(filters, 3, padding="same", use_bias=False)(x))
        return layers.ReLU()(layers.Add()([x, short]))

    inputs = Input((9, 9, 3))
    x = block(block(inputs, 3, 1), 5, 2)
    x = layers.GlobalAveragePooling2D()(x)
    model = Model(inputs, Dense(4, activation="softmax")(x))
    return result(
        model, "Functional Conv2D BatchNormalization Add ReLU Activation GlobalAveragePooling2D SGD",
        [normal(rng, (16, 9, 9, 3))], [one_hot(rng, 4, 16)],
        optimizers.SGD(0.05, momentum=0.9, weight_decay=1e-3), "categorical_crossentropy",
        metrics=["accuracy", "categorical_crossentropy"], batch=8,
    )  # fmt: skip


def mobilenet(rng):
    inputs = Input((8, 8, 4))
    x = BatchNorm(momentum=0.9)(Conv2D(12, 1, use_bias=False)(inputs))
    x = layers.ReLU(6.0)(x)
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
    x = layers.DepthwiseConv2D(3, strides=2, use_bias=False)(x)
    x = layers.ReLU(max_value=6.0)(BatchNorm(momentum=0.9)(x))
    x = BatchNorm(momentum=0.9)(Conv2D(5, 1, use_bias=False)(x))
    y = layers.ReLU(6.0)(BatchNorm()(Conv2D(10, 1, use_bias=False)(x)))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(y)
    y = BatchNorm()(Conv2D(5, 1, use_bias=False)(layers.ReLU(6.0)(BatchNorm()(y))))
    x = layers.GlobalAveragePooling2D(keepdims=True)(layers.Add()([x, y]))
    x = layers.Reshape((3,))(Conv2D(3, 1)(x))
    model = Model(inputs, layers.Activation("softmax")(x))
    return result(
        model, "Functional DepthwiseConv2D BatchNormalization ReLU ZeroPadding2D Add Reshape Adam",
        [normal(rng, (16, 8, 8, 4))], [integers(rng, 3, (16,))], optimizers.Adam(0.003),
        "sparse_categorical_crossentropy", batch=8,
    )  # fmt: skip


def inception(rng):
    inputs = Input((7, 7, 3))
    a = Conv2D(3, 1, activation="relu")(inputs)
    b = Conv2D(4, 3, padding="same", activation="relu")(Conv2D(2, 1, activation="relu")(inputs))
    c = Conv2D(2, 1)(layers.MaxPooling2D(3, strides=1, padding="same")(inputs))
    d = Conv2D(2, 1)(layers.AveragePooling2D(3, strides=1, padding="same")(inputs))
    x = layers.Concatenate()([a, b, c, d])
    y = Conv2D(11, 1)(x)
    x = layers.Activation("relu")(CustomScaleLayer(0.3)([x, y]))
    x = layers.GlobalMaxPooling2D()(x)
    model = Model(inputs, Dense(3, activation="softmax")(x))
    return result(
        model, "Functional Concatenate MaxPooling2D AveragePooling2D CustomScaleLayer Nadam",
        [normal(rng, (12, 7, 7, 3))], [one_hot(rng, 3, 12)], optimizers.Nadam(0.005),
        losses.CategoricalFocalCrossentropy(), metrics=["accuracy"], batch=4,
    )  # fmt: skip


def frozen(rng):
    base = Sequential([
        Input((8, 8, 3)), Conv2D(4, 3), BatchNorm(), layers.ReLU(),
        layers.GlobalAveragePooling2D()], name="base")  # fmt: skip
    base.trainable = False
    inputs = Input((8, 8, 3))
    x = Dense(5, activation="relu", trainable=False)(base(inputs))
    model = Model(inputs, Dense(3, activation="softmax")(x))
    return result(
        model, "Functional Sequential Conv2D BatchNormalization Dense RMSprop",
        [normal(rng, (12, 8, 8, 3))], [one_hot(rng, 3, 12)],
        optimizers.RMSprop(0.01, momentum=0.5, centered=True), "categorical_crossentropy",
        batch=4,
    )  # fmt: skip


def autoencoder(rng):
    model = Sequential([
        Input((8, 8, 3)),
        Conv2D(5, 3, strides=2, padding="same", activation="relu"),
        Conv2D(3, 3, strides=2, padding="same"), layers.LeakyReLU(0.1),
        layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu"),
        layers.UpSampling2D(2, interpolation="bilinear"),
        layers.Cropping2D(((1, 1), (0, 2))), layers.ZeroPadding2D(((2, 0), (1, 1))),
        Conv2D(3, 3, padding="same", activation="sigmoid"),
    ])  # fmt: skip
    x = f32(rng.uniform(0, 1, (12, 8, 8, 3)))
    return result(
        model, "Sequential Conv2D Conv2DTranspose UpSampling2D Cropping2D ZeroPadding2D LeakyReLU",
        [x], [x.copy()], optimizers.Adam(0.005), "mse", batch=4,
    )  # fmt: skip


def densenet(rng):
    inputs = x = Input((8, 8, 4))
    for _ in range(3):
        y = layers.Activation("relu")(BatchNorm(epsilon=1.001e-5)(x))
        y = Conv2D(5, 1, use_bias=False)(y)
        y = layers.Activation("relu")(BatchNorm(epsilon=1.001e-5)(y))
        y = Conv2D(3, 3, padding="same", use_bias=False)(y)
        x = layers.Concatenate()([x, y])
    x = layers.AveragePooling2D(2, strides=2)(Conv2D(6, 1, use_bias=False)(x))
    model = Model(inputs, Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    return result(
        model, "Functional BatchNormalization Activation Conv2D Concatenate AveragePooling2D Adam",
        [normal(rng, (12, 8, 8, 4))], [one_hot(rng, 3, 12)],
        optimizers.Adam(optimizers.schedules.CosineDecay(
            1e-4, 15, warmup_target=5e-3, warmup_steps=5)),
        "categorical_crossentropy", batch=6,
    )  # fmt: skip


def squeeze_excite(rng):
    inputs = Input((6, 6, 3))
    x = Conv2D(6, 3, padding="same", activation="silu")(inputs)
    s = layers.GlobalAveragePooling2D(keepdims=True)(x)
    s = Conv2D(6, 1, activation="sigmoid")(Conv2D(2, 1, activation="silu")(s))
    x = layers.Multiply()([x, s])
    t = layers.Reshape((1, 1, 6))(Dense(6, activation="hard_sigmoid")(layers.Flatten()(x)))
    x = layers.GlobalMaxPooling2D()(layers.Multiply()([x, t]))
    model = Model(inputs, Dense(2)(x))
    return result(
        model, "Functional GlobalAveragePooling2D Multiply Conv2D Reshape Lion",
        [normal(rng, (12, 6, 6, 3))], [normal(rng, (12, 2))],
        optimizers.Lion(0.003, weight_decay=0.01), "mae", batch=4,
    )  # fmt: skip


def any_size(rng):
    inputs = Input((None, None, 3))
    x = layers.SeparableConv2D(5, 3, padding="same", use_bias=False)(inputs)
    x = layers.ELU()(BatchNorm(scale=False)(x))
    y = layers.UpSampling2D(2)(layers.MaxPooling2D(2)(x))
    x = layers.Average()([x, y])
    model = Model(inputs, Conv2D(4, 1, activation="softmax")(x))
    return result(
        model, "Functional SeparableConv2D ELU Average UpSampling2D MaxPooling2D",
        [normal(rng, (9, 6, 8, 3))], [integers(rng, 4, (9, 6, 8))],
        optimizers.SGD(0.2, momentum=0.9, global_clipnorm=0.5),
        "sparse_categorical_crossentropy", metrics=["accuracy"], batch=3,
    )  # fmt: skip


def convnext(rng):
    inputs = x = Input((7, 7, 5))
    for scale in (1.0, 0.5):
        y = layers.DepthwiseConv2D(5, padding="same")(x)
        y = layers.LayerNormalization(epsilon=1e-6)(y)
        y = Dense(5)(Dense(12, activation="gelu")(y))
        x = layers.Add()([x, LayerScale(scale, 5)(y)])
    x = layers.LayerNormalization(epsilon=1e-6)(layers.GlobalAveragePooling2D()(x))
    model = Model(inputs, Dense(3)(x))
    return result(
        model, "Functional DepthwiseConv2D LayerNormalization Dense LayerScale Add AdamW",
        [normal(rng, (8, 7, 7, 5))], [one_hot(rng, 3, 8)], optimizers.AdamW(0.002),
        losses.CategoricalCrossentropy(from_logits=True), batch=4,
    )  # fmt: skip


def group_norm(rng):
    model = Sequential([
        Input((6, 6, 3)), layers.GaussianNoise(0.0),
        Conv2D(6, 3, groups=3, use_bias=False), layers.GroupNormalization(3),
        layers.PReLU(shared_axes=[1, 2]), layers.SpatialDropout2D(0.0),
        Conv2D(4, 2, dilation_rate=2, use_bias=False), layers.GroupNormalization(-1), layers.Softmax(),
        layers.Flatten(), Dense(2)])  # fmt: skip
    return result(
        model, "Sequential GroupNormalization PReLU SpatialDropout2D GaussianNoise Softmax",
        [normal(rng, (12, 6, 6, 3))], [normal(rng, (12, 2))],
        optimizers.Adam(0.01, clipvalue=0.05, use_ema=True, ema_momentum=0.9), "mse", batch=4,
    )  # fmt: skip


def preprocessed(rng):
    model = Sequential([
        Input((5, 6, 3)), layers.Rescaling(1 / 127.5, offset=-1.0), layers.Normalization(),
        layers.Resizing(7, 9), Conv2D(4, 3, strides=2, activation="leaky_relu"),
        layers.Flatten(), Dense(1)])  # fmt: skip
    y = normal(rng, (12, 1))
    return result(
        model, "Sequential Rescaling Normalization Resizing Conv2D SGD",
        [f32(rng.integers(0, 256, (12, 5, 6, 3)))], [f32(y > 0) * 2 - 1],
        optimizers.SGD(0.02, nesterov=True, momentum=0.5), "squared_hinge",
        metrics=["hinge"], batch=4,
    )  # fmt: skip


IMAGE_MODELS = [
    cnn, resnet, mobilenet, inception, frozen, autoencoder, densenet, squeeze_excite, any_size,
    convnext, group_norm, preprocessed,
]  # fmt: skip
