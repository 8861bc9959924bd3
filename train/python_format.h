// SPDX-License-Identifier: MIT
//
// Numbers as Python writes them, for paths and files that Keras's users know.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string>

namespace ingot {

// Of digits of which the first stands `exponent` places before the point: as they are where that is from -4 up to
// `most`, else as a power of ten.
inline std::string PythonDigits(std::string digits, int exponent, int most) {
  if (exponent < -4 || exponent >= most) {
    if (digits.size() > 1) digits.insert(1, ".");
    const std::string power = std::to_string(std::abs(exponent));
    return digits + (exponent < 0 ? "e-" : "e+") + (power.size() < 2 ? "0" : "") + power;
  }
  if (exponent < 0) return "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const size_t whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return digits + std::string(whole - digits.size(), '0') + ".0";
  return digits.insert(whole, ".");
}

// repr() of a float: the shortest text that reads back as it. With a precision, format(value, ".3").
inline std::string PythonRepr(double value, int precision = -1) {
  if (std::isnan(value)) return "nan";
  const std::string sign = std::signbit(value) ? "-" : "";
  value = std::fabs(value);
  if (std::isinf(value)) return sign + "inf";
  char text[128];
  const auto scientific = std::chars_format::scientific;
  char* const end = precision < 0
                        ? std::to_chars(text, text + sizeof text, value, scientific).ptr
                        : std::to_chars(text, text + sizeof text, value, scientific, precision ? precision - 1 : 0).ptr;
  const std::string whole(text, end);
  const size_t e = whole.find('e');
  std::string digits = whole.substr(0, 1) + (e > 2 ? whole.substr(2, e - 2) : "");
  while (digits.size() > 1 && digits.back() == '0') digits.pop_back();
  const int most = precision < 0 ? 16 : precision > 1 ? precision - 1 : 0;
  return sign + PythonDigits(digits, std::stoi(whole.substr(e + 1)), most);
}

}  // namespace ingot
