# SPDX-License-Identifier: MIT
"""Whole models, compiled and trained for twenty steps: one function each, all in MODELS.

A function draws its data from `rng` and returns the arguments of common.add_model: model, covers,
xs, ys and compile, optionally sws and batch. A convolution right before a batch norm has no bias:
its gradient would be rounding noise, which Adam scales up to full steps.
"""

from common import Fixture, add_model, f32, fresh, integers, normal, rng_for
from image_model_cases import IMAGE_MODELS, one_hot, result
from keras import Input, Model, Sequential, layers, losses, metrics, optimizers, regularizers

Dense, Conv2D, BatchNorm = layers.Dense, layers.Conv2D, layers.BatchNormalization
STEPS = 20


def mlp(rng):
    model = Sequential([Input((13,)), Dense(9, activation="relu"), Dense(5, activation="softmax")])
    return result(
        model, "Sequential Dense Adam SparseCategoricalCrossentropy SparseCategoricalAccuracy",
        [normal(rng, (24, 13))], [integers(rng, 5, (24,))], "adam",
        "sparse_categorical_crossentropy", metrics=["accuracy"], batch=6,
    )  # fmt: skip


def mlp_logits(rng):
    model = Sequential([
        Input((11,)), Dense(8, activation="silu"), Dense(7, activation="mish"), Dense(4)])  # fmt: skip
    return result(
        model, "Sequential Dense SGD CategoricalCrossentropy CategoricalAccuracy",
        [normal(rng, (20, 11))], [one_hot(rng, 4, 20)],
        optimizers.SGD(0.05, momentum=0.9, nesterov=True),
        losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
        metrics=["accuracy", metrics.TopKCategoricalAccuracy(k=2)],
        batch=5,
    )  # fmt: skip


def binary(rng):
    model = Sequential([Input((6,)), Dense(7, activation="tanh"), Dense(1, activation="sigmoid")])
    return result(
        model, "Sequential Dense RMSprop BinaryCrossentropy BinaryAccuracy AUC Precision Recall",
        [normal(rng, (28, 6))], [integers(rng, 2, (28, 1))], optimizers.RMSprop(0.01),
        "binary_crossentropy", metrics=["accuracy", "AUC", "Precision", "Recall"], batch=7,
    )  # fmt: skip


def regression(rng):
    schedule = optimizers.schedules.ExponentialDecay(0.02, 5, 0.8)
    model = Sequential([Input((5,)), Dense(8, activation="elu"), Dense(2)])
    return result(
        model, "Sequential Dense Adam ExponentialDecay MeanSquaredError MeanAbsoluteError",
        [normal(rng, (20, 5))], [normal(rng, (20, 2))], optimizers.Adam(schedule, amsgrad=True),
        "mse", metrics=["mae", metrics.RootMeanSquaredError()], batch=5,
    )  # fmt: skip


def shared(rng):
    a, b = Input((6,), name="left"), Input((6,), name="right")
    # No activity regularizer here: of the two calls Keras 3.15.1 with JAX trains with the penalty
    # of the first alone, though model.losses lists both.
    tower = Dense(5, activation="tanh", kernel_regularizer="l1", name="tower")
    norm = BatchNorm(name="norm")
    u, v = norm(tower(a)), norm(tower(b))
    x = layers.Concatenate()([layers.Subtract()([u, v]), layers.Multiply()([u, v])])
    model = Model([a, b], Dense(1)(x))
    return result(
        model, "Functional Dense BatchNormalization Subtract Multiply Concatenate Adagrad",
        [normal(rng, (20, 6)), normal(rng, (20, 6))], [normal(rng, (20, 1))],
        optimizers.Adagrad(0.1), "huber", metrics=["mae"], batch=5,
    )  # fmt: skip


def nested_in_functional(rng):
    encoder = Sequential([
        Input((6,)), Dense(5, activation="relu"), BatchNorm(), Dense(4)], name="encoder")  # fmt: skip
    inner_in = Input((4,))
    h = Dense(4, activation="tanh")(inner_in)
    inner = Model(inner_in, layers.Add()([h, inner_in]), name="residual")
    inputs = Input((6,))
    x = inner(inner(encoder(inputs)))
    model = Model(inputs, Dense(3, activation="softmax")(x))
    return result(
        model, "Functional Sequential Dense BatchNormalization Add Adamax",
        [normal(rng, (18, 6))], [integers(rng, 3, (18,))], optimizers.Adamax(0.01),
        "sparse_categorical_crossentropy", metrics=["accuracy"], batch=6,
    )  # fmt: skip


def nested_in_sequential(rng):
    a = Input((7, 3))
    wide, narrow = layers.Conv1D(4, 5, padding="same")(a), layers.Conv1D(4, 1)(a)
    inner = Model(a, layers.Maximum()([wide, narrow]), name="pair")
    deep = Sequential([Input((4,)), Dense(6, activation="softplus")], name="deep")
    model = Sequential([
        Input((7, 3)), inner, layers.GlobalAveragePooling1D(), deep, Dense(2)])  # fmt: skip
    return result(
        model, "Sequential Functional Conv1D Maximum GlobalAveragePooling1D Dense Adadelta",
        [normal(rng, (12, 7, 3))], [normal(rng, (12, 2))], optimizers.Adadelta(1.0), "log_cosh",
        batch=4,
    )  # fmt: skip


def two_by_two(rng):
    image, vector = Input((6, 6, 2), name="image"), Input((5,), name="vector")
    x = layers.Flatten()(Conv2D(3, 3, activation="relu")(image))
    x = layers.Concatenate()([x, Dense(4, activation="relu")(vector)])
    x = Dense(6, activation="relu")(x)
    kind = Dense(3, activation="softmax", name="kind")(x)
    size = Dense(2, name="size")(layers.Concatenate()([x, kind]))
    model = Model([image, vector], [kind, size])
    return result(
        model, "Functional Conv2D Flatten Concatenate Dense Adam",
        [normal(rng, (16, 6, 6, 2)), normal(rng, (16, 5))],
        [integers(rng, 3, (16,)), normal(rng, (16, 2))], optimizers.Adam(0.01),
        {"kind": "sparse_categorical_crossentropy", "size": "mse"},
        loss_weights={"kind": 0.7, "size": 0.25},
        metrics={"kind": ["accuracy"], "size": ["mae"]}, batch=4,
    )  # fmt: skip


def two_losses_listed(rng):
    inputs = Input((5,))
    x = Dense(6, activation="selu", kernel_regularizer=regularizers.L1L2(0.002, 0.003))(inputs)
    model = Model(inputs, [Dense(1, activation="sigmoid", name="yes")(x), x])
    return result(
        model, "Functional Dense SGD BinaryCrossentropy MeanSquaredError",
        [normal(rng, (15, 5))], [integers(rng, 2, (15, 1)), normal(rng, (15, 6))],
        optimizers.SGD(0.1), ["binary_crossentropy", "mse"], loss_weights=[1.0, 0.4], batch=5,
    )  # fmt: skip


def text(rng):
    model = Sequential([
        Input((9,), dtype="int32"), layers.Embedding(15, 6),
        layers.Conv1D(5, 3, padding="causal", activation="relu"),
        layers.GlobalAveragePooling1D(), Dense(1, activation="sigmoid")])  # fmt: skip
    return result(
        model, "Sequential Embedding Conv1D GlobalAveragePooling1D Dense Adam",
        [integers(rng, 15, (20, 9))], [integers(rng, 2, (20,))], optimizers.Adam(0.01),
        losses.BinaryCrossentropy(label_smoothing=0.1), metrics=["accuracy"], batch=5,
    )  # fmt: skip


def weighted(rng):
    model = Sequential([Input((6,)), Dense(5, activation="gelu"), Dense(3, activation="softmax")])
    return result(
        model, "Sequential Dense SGD sample_weight",
        [normal(rng, (20, 6))], [integers(rng, 3, (20,))],
        optimizers.SGD(0.1, momentum=0.8), "sparse_categorical_crossentropy",
        metrics=["accuracy"], weighted_metrics=["sparse_categorical_crossentropy"],
        sws=[f32(rng.uniform(0, 2, 20))], batch=5,
    )  # fmt: skip


def layer_norm(rng):
    inputs = Input((5, 8))
    x = layers.LayerNormalization(epsilon=1e-6)(inputs)
    x = Dense(8)(Dense(16, activation="gelu")(x))
    x = layers.Add()([x, inputs])
    x = layers.Permute((2, 1))(layers.LayerNormalization()(x))
    x = layers.GlobalAveragePooling1D()(Dense(6, activation="gelu")(x))
    model = Model(inputs, Dense(4)(x))
    return result(
        model, "Functional LayerNormalization Dense Add Permute AdamW",
        [normal(rng, (12, 5, 8))], [integers(rng, 4, (12,))],
        optimizers.AdamW(0.003, weight_decay=0.02, clipnorm=0.5),
        losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"], batch=4,
    )  # fmt: skip


def accumulated(rng):
    model = Sequential([Input((6,)), Dense(7, activation="relu"), BatchNorm(), Dense(2)])
    return result(
        model, "Sequential Dense BatchNormalization Adam gradient_accumulation_steps",
        [normal(rng, (20, 6))], [normal(rng, (20, 2))],
        optimizers.Adam(0.02, gradient_accumulation_steps=3, weight_decay=0.01),
        losses.MeanSquaredError(reduction="sum"), batch=5,
    )  # fmt: skip


def distribution(rng):
    inputs = Input((7, 4))
    x = layers.Conv1D(5, 2, padding="causal", dilation_rate=2, activation="tanh")(inputs)
    x = layers.MaxPooling1D(2, padding="same")(x)
    a, b = layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)
    x = layers.Minimum()([a, b])
    model = Model(inputs, Dense(4, activation="softmax")(x))
    target = f32(rng.dirichlet([1.0] * 4, 12))
    return result(
        model, "Functional Conv1D MaxPooling1D GlobalMaxPooling1D Minimum KLDivergence",
        [normal(rng, (12, 7, 4))], [target], optimizers.SGD(0.1), "kl_divergence",
        metrics=["cosine_similarity"], batch=4,
    )  # fmt: skip


MODELS = [
    mlp, mlp_logits, binary, regression, shared, nested_in_functional, nested_in_sequential,
    two_by_two, two_losses_listed, text, weighted, layer_norm, accumulated, distribution,
    *IMAGE_MODELS,
]  # fmt: skip


def make():
    fixture = Fixture("models")
    for build in MODELS:
        fresh(build.__name__)
        try:
            add_model(fixture, build.__name__, steps=STEPS, **build(rng_for(build.__name__)))
        except Exception as error:
            raise RuntimeError(f"model {build.__name__}") from error
    fixture.save()
