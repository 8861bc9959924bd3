// SPDX-License-Identifier: MIT
//
// Our parser of JSON against another's: the same values from what both take; the same refusals, but for keys that stand
// twice and depth, where ours is stricter.
#include "ingot/io/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "ingot/core/error.h"

namespace ingot {
namespace {

// "" where it was taken.
std::string Refusal(const std::string& text) {
  try {
    ParseJson(text, "file");
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

const char* const kTaken[] = {
    "null",
    "true",
    " false ",
    "0",
    "-0",
    "-1",
    "1.5",
    "-1.25e-3",
    "1E+2",
    "0.1",
    "1e-400",
    "4.9e-324",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "123456789012345678",
    "1.7976931348623157e308",
    "[]",
    "[ ]",
    "{}",
    "{ }",
    "[1,[2,[3,[]]],{}]",
    "\"\"",
    R"("plain")",
    R"("\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude00")",
    "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
    R"("\u0000")",
    R"({"a": 1, "b": [true, {"c": null, "a": "x"}], "": {"": ""}})",
    "\t\r\n [\n1 ,\t2 ]\n",
    R"({"a":{"a":{"a":[{"a":1},{"a":2}]}}})",
    "\xEF\xBB\xBF[1]",
};

const char* const kRefused[] = {
    "",
    " ",
    "nul",
    "truex",
    "nulll",
    "tru",
    "01",
    "-",
    "-a",
    "+1",
    ".5",
    "1.",
    "1.e3",
    "1e",
    "1e+",
    "0x10",
    "1e400",
    "-1e400",
    "NaN",
    "Infinity",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1",
    "]",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{a:1}",
    "{1:2}",
    "{\"a\" 1}",
    "{\"a\":1",
    "\"",
    "\"a",
    "\"\\",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\u12g4\"",
    "\"\\ud800\"",
    "\"\\ud800\\u0041\"",
    "\"\\udc00\"",
    "\"\\ud800x\"",
    "\"\n\"",
    "\"\x01\"",
    "\"\xff\"",
    "\"\xc0\x80\"",
    "\"\xed\xa0\x80\"",
    "\"\xf4\x90\x80\x80\"",
    "'a'",
    "1 2",
    "{} {}",
    "// c\n1",
    "\x80",
    "\"\xe2\x82\"",
};

TEST(JsonTest, ReadsWhatAnotherParserReads) {
  for (const std::string text : kTaken) {
    ASSERT_EQ(Refusal(text), "") << text;
    const Json mine = ParseJson(text, "file"), other = Json::parse(text);
    EXPECT_EQ(mine, other) << text;
    EXPECT_EQ(mine.type(), other.type()) << text;
    EXPECT_EQ(mine.dump(), other.dump()) << text;
  }
}

TEST(JsonTest, RefusesWhatAnotherParserRefuses) {
  for (const std::string text : kRefused) {
    EXPECT_FALSE(Json::accept(text)) << text;
    EXPECT_EQ(Refusal(text).substr(0, 24), "file: is not JSON: byte ") << text;
  }
  EXPECT_NE(Refusal(std::string("1\0", 2)), "");
}

// Every prefix, and every byte replaced by others that mean something.
TEST(JsonTest, AgreesOnDamagedText) {
  int taken = 0, refused = 0;
  const auto hold = [&](const std::string& text) {
    const Json other = Json::parse(text, nullptr, false);
    const std::string refusal = Refusal(text);
    if (refusal.empty()) {
      ++taken;
      ASSERT_EQ(ParseJson(text, "file"), other) << text;
    } else {
      ++refused;
      if (!other.is_discarded()) {
        ASSERT_NE(refusal.find("twice"), std::string::npos) << text << "\n" << refusal;
      }
    }
  };
  for (const std::string text : kTaken) {
    for (size_t n = 0; n < text.size(); ++n) hold(text.substr(0, n));
    for (size_t i = 0; i < text.size(); ++i)
      for (const char c : std::string("\"\\{}[],:0-.eE+ \n\x01\x80\xc3u", 20)) {
        std::string other = text;
        other[i] = c;
        hold(other);
      }
  }
  EXPECT_GT(taken, 500);
  EXPECT_GT(refused, 500);
}

TEST(JsonTest, NamesPlaceAndKey) {
  EXPECT_EQ(Refusal("{\"a\": 1, \"b\": 2, \"a\": 3}"),
            "file: is not JSON: byte 24: the object that ends here holds the key 'a' twice");
  std::string many = "{";
  for (int i = 0; i < 100; ++i) many += "\"k" + std::to_string(i) + "\": 1, ";
  EXPECT_EQ(Refusal(many + "\"z\": 1}"), "");
  EXPECT_NE(Refusal(many + "\"k7\": 1}").find("the key 'k7' twice"), std::string::npos);
  EXPECT_EQ(Refusal("[1, 2"), "file: is not JSON: byte 5: ',' or ']' is expected");
  EXPECT_EQ(Refusal("[1, ?]"), "file: is not JSON: byte 4: a value is expected");
}

TEST(JsonTest, BoundsDepth) {
  const auto nested = [](int n) {
    return std::string(static_cast<size_t>(n), '[') + std::string(static_cast<size_t>(n), ']');
  };
  EXPECT_EQ(Refusal(nested(100)), "");
  EXPECT_NE(Refusal(nested(101)).find("nested deeper than 100"), std::string::npos);
}

}  // namespace
}  // namespace ingot
