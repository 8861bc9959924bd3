# SPDX-License-Identifier: MIT
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(ZLIB)
find_dependency(nlohmann_json)

# Highway's own package is not there on every system: its library, by its full path.
if(NOT TARGET ingot::hwy)
  find_library(INGOT_HWY_LIBRARY hwy)
  mark_as_advanced(INGOT_HWY_LIBRARY)
  if(NOT INGOT_HWY_LIBRARY)
    set(ingot_FOUND FALSE)
    set(ingot_NOT_FOUND_MESSAGE "ingot needs Highway, and no library hwy is found: install libhwy-dev, or set INGOT_HWY_LIBRARY")
    return()
  endif()
  add_library(ingot::hwy UNKNOWN IMPORTED)
  set_target_properties(ingot::hwy PROPERTIES IMPORTED_LOCATION "${INGOT_HWY_LIBRARY}")
endif()

include(${CMAKE_CURRENT_LIST_DIR}/ingot-targets.cmake)
