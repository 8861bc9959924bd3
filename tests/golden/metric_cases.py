# SPDX-License-Identifier: MIT
"""Metrics with their options: three updates each, the result after every one."""

from common import Fixture, f32, fresh, integers, keras, normal, np, rng_for
from keras import metrics

UPDATES = 3

# ---- what each is fed: (y_true, y_pred) of one update ---------------------------------------------


def values(rng):
    return normal(rng, (4, 5)), normal(rng, (4, 5))


def column(rng):
    return normal(rng, (5,)), normal(rng, (5, 1))


def images(rng):
    return normal(rng, (2, 3, 4)), normal(rng, (2, 3, 4))


def positive(rng):
    return f32(rng.uniform(0.1, 4, (4, 5))), f32(rng.uniform(0.1, 4, (4, 5)))


def equal_half(rng):
    return f32(rng.integers(0, 3, (5, 2))), f32(rng.integers(0, 3, (5, 2)))


def bits(rng):
    p = rng.uniform(0, 1, (7, 3))
    p[0] = [0.5, 0.0, 1.0]
    return f32(rng.integers(0, 2, (7, 3))), f32(p)


def bits_column(rng):
    return integers(rng, 2, (8, 1)), f32(rng.uniform(0, 1, (8, 1)))


def bits_flat(rng):
    return integers(rng, 2, (8,)), f32(rng.uniform(0, 1, (8, 1)))


def bit_logits(rng):
    return f32(rng.integers(0, 2, (7, 3))), normal(rng, (7, 3), 2.0)


def signs(rng):
    return f32(rng.integers(0, 2, (5, 3)) * 2 - 1), normal(rng, (5, 3))


def dists(rng):
    return f32(rng.dirichlet(np.ones(5), 6)), f32(rng.dirichlet(np.ones(5), 6))


def classes(rng):
    return f32(np.eye(5)[rng.integers(0, 5, 6)]), f32(rng.dirichlet(np.ones(5), 6))


def class_logits(rng):
    return f32(np.eye(5)[rng.integers(0, 5, 6)]), normal(rng, (6, 5), 2.0)


def ids(rng):
    return integers(rng, 5, (6,)), f32(rng.dirichlet(np.ones(5), 6))


def ids_column(rng):
    return integers(rng, 5, (6, 1)), f32(rng.dirichlet(np.ones(5), 6))


def id_logits(rng):
    return integers(rng, 5, (6,)), normal(rng, (6, 5), 2.0)


def id_maps(rng):
    return integers(rng, 4, (2, 3)), f32(rng.dirichlet(np.ones(4), (2, 3)))


def tied_ids(rng):
    """Scores from {0, 1, 2}: many ties."""
    return integers(rng, 5, (6,)), f32(rng.integers(0, 3, (6, 5)))


def tied_classes(rng):
    return f32(np.eye(5)[rng.integers(0, 5, 6)]), f32(rng.integers(0, 3, (6, 5)))


# ---- rows of (class, variant, data, arguments, weights) -------------------------------------------

METRICS = []
for cls, data in (
    ("Accuracy", equal_half), ("BinaryAccuracy", bits), ("CategoricalAccuracy", classes),
    ("SparseCategoricalAccuracy", ids), ("TopKCategoricalAccuracy", classes),
    ("SparseTopKCategoricalAccuracy", ids), ("AUC", bits_column), ("Precision", bits),
    ("Recall", bits), ("MeanSquaredError", values), ("RootMeanSquaredError", values),
    ("MeanAbsoluteError", values), ("MeanAbsolutePercentageError", values),
    ("MeanSquaredLogarithmicError", positive), ("LogCoshError", values),
    ("KLDivergence", dists), ("Poisson", positive), ("Hinge", signs), ("SquaredHinge", signs),
    ("CategoricalHinge", classes), ("CosineSimilarity", values), ("BinaryCrossentropy", bits),
    ("CategoricalCrossentropy", dists), ("SparseCategoricalCrossentropy", ids),
    ("F1Score", classes), ("FBetaScore", classes), ("R2Score", values),
    ("TruePositives", bits), ("TrueNegatives", bits), ("FalsePositives", bits),
    ("FalseNegatives", bits),
):  # fmt: skip
    METRICS += [(cls, "plain", data, {}, None), (cls, "weighted", data, {}, "rows")]
METRICS += [
    ("BinaryAccuracy", "threshold", bits, dict(threshold=0.8), None),
    ("BinaryAccuracy", "flat", bits_flat, {}, None),
    ("SparseCategoricalAccuracy", "column", ids_column, {}, None),
    ("SparseCategoricalAccuracy", "maps", id_maps, {}, None),
    ("SparseCategoricalAccuracy", "maps_weighted", id_maps, {}, "each"),
    ("SparseCategoricalAccuracy", "ties", tied_ids, {}, None),
    ("CategoricalAccuracy", "ties", tied_classes, {}, None),
    ("TopKCategoricalAccuracy", "k2", classes, dict(k=2), None),
    ("TopKCategoricalAccuracy", "k3_ties", tied_classes, dict(k=3), None),
    ("SparseTopKCategoricalAccuracy", "k2", ids, dict(k=2), None),
    ("SparseTopKCategoricalAccuracy", "k3_ties", tied_ids, dict(k=3), None),
    ("SparseTopKCategoricalAccuracy", "column", ids_column, dict(k=1), None),
    ("SparseTopKCategoricalAccuracy", "maps", id_maps, dict(k=2), None),
    ("SensitivityAtSpecificity", "half", bits_column, dict(specificity=0.5), None),
    ("SpecificityAtSensitivity", "half", bits_column, dict(sensitivity=0.5), "rows"),
    ("PrecisionAtRecall", "half", bits_column, dict(recall=0.5), None),
    ("RecallAtPrecision", "half", bits_column, dict(precision=0.5), None),
    ("AUC", "few_thresholds", bits_column, dict(num_thresholds=11), None),
    ("AUC", "roc_minoring", bits_column, dict(summation_method="minoring"), None),
    ("AUC", "roc_majoring", bits_column, dict(summation_method="majoring"), "rows"),
    ("AUC", "pr", bits_column, dict(curve="PR"), None),
    ("AUC", "pr_minoring", bits_column, dict(curve="PR", summation_method="minoring"), None),
    ("AUC", "pr_majoring", bits_column, dict(curve="PR", summation_method="majoring"), None),
    ("AUC", "pr_weighted", bits_column, dict(curve="PR", num_thresholds=20), "rows"),
    ("AUC", "thresholds", bits_column, dict(thresholds=[0.2, 0.45, 0.7]), None),
    ("AUC", "logits", bit_logits, dict(from_logits=True), None),
    ("AUC", "flattened", bits, {}, None),
    ("AUC", "multi_label", bits, dict(multi_label=True, num_labels=3), None),
    ("AUC", "multi_label_weights", bits,
     dict(multi_label=True, num_labels=3, label_weights=[0.2, 1.0, 3.0]), None),
    ("AUC", "multi_label_pr", bits, dict(multi_label=True, num_labels=3, curve="PR"), "rows"),
    ("Precision", "threshold", bits, dict(thresholds=0.7), None),
    ("Precision", "thresholds", bits, dict(thresholds=[0.1, 0.5, 0.9]), "rows"),
    ("Precision", "top_k", classes, dict(top_k=2), None),
    ("Precision", "class_id", bits, dict(class_id=1), None),
    ("Precision", "top_k_class_id", classes, dict(top_k=3, class_id=2), None),
    ("Precision", "flat", bits_flat, {}, None),
    ("Recall", "threshold", bits, dict(thresholds=0.7), None),
    ("Recall", "thresholds", bits, dict(thresholds=[0.1, 0.5, 0.9]), "rows"),
    ("Recall", "top_k", classes, dict(top_k=2), None),
    ("Recall", "class_id", bits, dict(class_id=0), None),
    ("Recall", "top_k_class_id", classes, dict(top_k=3, class_id=2), None),
    ("MeanSquaredError", "column", column, {}, None),
    ("MeanSquaredError", "images_weighted", images, {}, "each"),
    ("RootMeanSquaredError", "images", images, {}, None),
    ("RootMeanSquaredError", "column", column, {}, None),
    ("Hinge", "zero_one", bits, {}, None),
    ("CosineSimilarity", "axis0", values, dict(axis=0), None),
    ("BinaryCrossentropy", "logits_smooth", bit_logits,
     dict(from_logits=True, label_smoothing=0.2), None),
    ("CategoricalCrossentropy", "logits_smooth", class_logits,
     dict(from_logits=True, label_smoothing=0.1), "rows"),
    ("SparseCategoricalCrossentropy", "logits", id_logits, dict(from_logits=True), None),
    ("SparseCategoricalCrossentropy", "maps", id_maps, {}, None),
    ("F1Score", "micro", classes, dict(average="micro"), None),
    ("F1Score", "macro", classes, dict(average="macro"), None),
    ("F1Score", "weighted_average", classes, dict(average="weighted"), "rows"),
    ("F1Score", "threshold", bits, dict(threshold=0.4), None),
    ("FBetaScore", "beta2", classes, dict(beta=2.0, average="macro"), None),
    ("TruePositives", "thresholds", bits, dict(thresholds=[0.2, 0.6]), None),
]  # fmt: skip


def make():
    fixture = Fixture("metrics")
    for cls, variant, data, arguments, weighting in METRICS:
        name = f"{cls}_{variant}"
        fresh(name)
        rng, metric, tensors = rng_for(name), getattr(metrics, cls)(**arguments), {}
        config = metrics.serialize(metric)
        for i in range(UPDATES):
            y_true, y_pred = data(rng)
            tensors |= {f"y_true{i}": y_true, f"y_pred{i}": y_pred}
            weights = None
            if weighting:
                shape = y_pred.shape[: -1 if weighting == "each" else 1]
                weights = tensors[f"sw{i}"] = f32(rng.uniform(0.1, 2, shape))
            metric.update_state(y_true, y_pred, sample_weight=weights)
            tensors[f"result{i}"] = keras.ops.convert_to_numpy(metric.result())
        case = {"kind": "metric", "name": name, "config": config, "updates": UPDATES}
        fixture.add(case, tensors)
    fixture.save()
