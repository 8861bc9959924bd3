// SPDX-License-Identifier: MIT
//
// Weights that PyTorch saved (safetensors.torch.save_file of a state_dict), into a model of the same layers.
//
//   layer and its weight              in PyTorch                  turned from
//   Dense kernel (in, out)            weight                      (out, in)
//   Conv1D kernel (k, in, out)        weight                      (out, in, k)
//   Conv2D kernel (h, w, in, out)     weight                      (out, in, h, w)
//   Conv2DTranspose (h, w, out, in)   weight                      (in, out, h, w)
//   DepthwiseConv2D (h, w, c, m)      weight                      (c * m, 1, h, w)
//   SeparableConv2D                   two modules: depthwise (weight) and pointwise (weight, bias), as above
//   gamma, embeddings, alpha          weight                      as they are; alpha (1, 1, c) from (c)
//   bias, beta                        bias                        as they are
//   moving_mean, moving_variance      running_mean, running_var   as they are
//
// num_batches_tracked is left aside. What is turned follows from the layer, never from the shapes: a square kernel is
// turned too, and so is one that the file has under Keras's name. A weight of any other kind (of a layer of one's own,
// or a gamma of several axes) is an Error if it has more than one axis: nobody can tell how it lies.
//
// Names: "dense/kernel" is found as "dense.weight" or under its own name; a layer in a nested model is "inner.dense",
// or "dense" where one layer alone has that name; '/' and '.' are the same. If no module of the file has the name of a
// layer ("0.weight", "3.bias" of nn.Sequential), then its modules, sorted by name with numbers as numbers, are taken
// for the layers with weights in their order. That is an Error where modules of the same shapes are in that order by
// their letters only ("decoder", "encoder"): then nothing would tell if they were swapped.
//
// What the file does not say, the model must: epsilon (PyTorch's batch-normalization has 1e-5, Keras's 1e-3), padding,
// activations. And a Dense behind the Flatten of feature maps has its rows in PyTorch's order (channel, row, column),
// here they come as (row, column, channel): shapes do not tell, predictions are wrong. Pool globally before it, or
// reorder its kernel with set_weights.
#pragma once

#include <string>
#include <vector>

#include "ingot/io/format.h"
#include "ingot/io/stored.h"

namespace ingot {

// Error unless the tensors are those of the model; then nothing was changed. Optimizer state stays as it is.
void TakePyTorch(const std::vector<StoredTensor>& tensors, Checkpoint& into, const std::string& where);

}  // namespace ingot
