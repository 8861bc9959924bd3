// SPDX-License-Identifier: MIT
#include "ingot/train/python_format.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace ingot {
namespace {

TEST(PythonFormat, AsReprWritesThem) {
  const struct {
    double value;
    const char* text;
  } cases[] = {{0.0001, "0.0001"},
               {0.00012345, "0.00012345"},
               {0.00001, "1e-05"},
               {1.5e-7, "1.5e-07"},
               {0, "0.0"},
               {-0.0, "-0.0"},
               {1, "1.0"},
               {0.1, "0.1"},
               {100000, "100000.0"},
               {123456.75, "123456.75"},
               {-1e15, "-1000000000000000.0"},
               {1e16, "1e+16"},
               {12345678901234567.0, "1.2345678901234568e+16"},
               {9007199254740993.0, "9007199254740992.0"},
               {1e22, "1e+22"},
               {1.7976931348623157e308, "1.7976931348623157e+308"},
               {5e-324, "5e-324"},
               {std::numeric_limits<double>::infinity(), "inf"},
               {-std::numeric_limits<double>::infinity(), "-inf"},
               {-std::nan(""), "nan"}};
  for (const auto& c : cases) EXPECT_EQ(PythonRepr(c.value), c.text);
}

TEST(PythonFormat, AsAPrecisionAloneWritesThem) {
  EXPECT_EQ(PythonRepr(1.0 / 3, 3), "0.333");
  EXPECT_EQ(PythonRepr(100, 3), "1e+02");
  EXPECT_EQ(PythonRepr(100, 4), "100.0");
  EXPECT_EQ(PythonRepr(0.00001234, 2), "1.2e-05");
  EXPECT_EQ(PythonRepr(9.99, 2), "1e+01");
  EXPECT_EQ(PythonRepr(7, 1), "7e+00");
  EXPECT_EQ(PythonRepr(7, 0), "7e+00");
  EXPECT_EQ(PythonRepr(0.5, 1), "0.5");
}

}  // namespace
}  // namespace ingot
