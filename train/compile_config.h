// SPDX-License-Identifier: MIT
//
// What compile() was given as JSON, in the form of Keras's get_compile_config().
#pragma once

#include "ingot/train/model.h"

namespace ingot {

Json CompileConfig(const CompileOptions& options, size_t outputs = 1);  // of a model with so many
// `outputs`: the names of the model's outputs, by which losses and metrics may be given.
CompileOptions CompileOptionsFromConfig(const Json& config, const std::vector<std::string>& outputs,
                                        const CustomObjects* custom = nullptr);

}  // namespace ingot
