# SPDX-License-Identifier: MIT
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(ZLIB)
find_dependency(nlohmann_json)
include(${CMAKE_CURRENT_LIST_DIR}/ingot-targets.cmake)
