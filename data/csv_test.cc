// SPDX-License-Identifier: MIT
//
// Comma-separated values in every spelling, and every way in which a row can be bad.
#include <gtest/gtest.h>

#include <fstream>

#include "ingot/data/data_test_util.h"
#include "ingot/tests/folder.h"
#include "ingot/tests/hostile.h"

namespace ingot {
namespace {

using testing::ErrorOf;

class Csv : public testing::InFolder {
 protected:
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  Dataset From(const std::string& text, const CsvOptions& o = {}) const {
    return Dataset::from_csv(Write("t.csv", text), o);
  }
  // The message without the folder.
  std::string ErrorFrom(const std::string& text, const CsvOptions& o = {}) const {
    std::string what = ErrorOf([&] { From(text, o); });
    return what.starts_with(folder_.string()) ? what.substr(folder_.string().size() + 1) : what;
  }
};

TEST_F(Csv, OfNumbers) {
  const Dataset d = From("a,b,label\n1,2.5,0\n-3e2, 4 ,1\n", {.label = {"label"}});
  EXPECT_EQ(d.x[0], Array({2, 2}, {1.f, 2.5f, -300.f, 4.f}));
  EXPECT_EQ(d.y[0], Array({2}, {0, 1}));
  EXPECT_TRUE(From("1,2\n", {.header = false}).y.empty());
}

TEST_F(Csv, InEverySpelling) {
  const Array expected({2, 2}, {1.f, 2.f, 3.f, 4.f});
  for (const char* text : {"a,b\n1,2\n3,4\n", "a,b\n1,2\n3,4", "a,b\r\n1,2\r\n3,4\r\n", "a,b\r\n1,2\r\n3,4",
                           "\xEF\xBB\xBF"
                           "a,b\n1,2\n3,4\n",
                           "\n\na,b\n\n1,2\n\r\n3,4\n\n", "\"a\",\"b\"\n\"1\",2\n3,\"4\"\n",
                           "\"a\",\"b\"\r\n\"1\",\"2\"\r\n\"3\",\"4\"", " a , b \n1 ,\t2\n3,4\n"})
    EXPECT_EQ(From(text).x[0], expected) << text;
  EXPECT_EQ(From("1;2\n3;4\n", {.header = false, .delimiter = ';'}).x[0], expected);
  EXPECT_EQ(From("b,x,a\n2,9,1\n4,9,3\n", {.columns = {"a", "b"}}).x[0], expected);
}

TEST_F(Csv, Labels) {
  EXPECT_EQ(From("x,y\n1,0.5\n2,3\n", {.label = {"y"}}).y[0], Array({2}, {0.5f, 3.f}));
  EXPECT_EQ(From("x,y\n1,16777217\n2,3.0\n", {.label = {"y"}}).y[0], Array({2}, {16777217, 3})) << "to the digit";
  EXPECT_EQ(From("x,y,z\n1,5,6\n2,7,8\n", {.label = {"z", "y"}}).y[0], Array({2, 2}, {6, 5, 8, 7}));
  EXPECT_EQ(From("1,2,3\n", {.label = {"1"}, .header = false}).y[0], Array({1}, {2}));
}

TEST_F(Csv, Categories) {
  std::map<std::string, std::vector<std::string>> words;
  const CsvOptions o{.label = {"kind"}, .categories = {"color", "kind"}, .vocabulary = &words};
  const Dataset d = From("color,size,kind\nred,1,cat\n\"blue, \"\"dark\"\"\",2,dog\nred,3,\"a\nb\"\n", o);
  EXPECT_EQ(d.x[0], Array({3, 2}, {1.f, 1.f, 0.f, 2.f, 1.f, 3.f}));
  EXPECT_EQ(d.y[0], Array({3}, {1, 2, 0}));
  EXPECT_EQ(words["color"], (std::vector<std::string>{"blue, \"dark\"", "red"}));
  EXPECT_EQ(words["kind"], (std::vector<std::string>{"a\nb", "cat", "dog"}));
  // Other files take the list as it is.
  EXPECT_EQ(From("color,size,kind\nred,1,dog\n", o).y[0], Array({1}, {2}));
  EXPECT_EQ(ErrorFrom("color,size,kind\ngreen,1,dog\n", o),
            "t.csv:2: column 'color': the word 'green' is not in its list");
  EXPECT_EQ(words["color"].size(), 2u);
  // Words of bad rows are not learnt.
  words.clear();
  CsvOptions skip = o;
  skip.on_bad_row = BadRow::kSkip;
  From("color,size,kind\nred,1,dog\ngreen,x,dog\n", skip);
  EXPECT_EQ(words["color"], std::vector<std::string>{"red"});
}

TEST_F(Csv, MissingFields) {
  EXPECT_EQ(ErrorFrom("a,b\n1,2\n3,\n"),
            "t.csv:3: column 'b': the field is empty; CsvOptions::missing says what to read then");
  EXPECT_EQ(From("a,b\n1,\nNA,4\n", {.missing = -1.0f}).x[0], Array({2, 2}, {1.f, -1.f, -1.f, 4.f}));
}

// However it is spelled, no number never gets into the data unasked.
TEST_F(Csv, NoNumberIsMissing) {
  for (const std::string nan :
       {"NA", "NaN", "nan", "NAN", "Nan", "-nan", "-NaN", "+nan", "nan(1)", "nan(ind)", " nan "}) {
    EXPECT_EQ(From("a,b\n1," + nan + "\n3,4\n", {.missing = -1.0f}).x[0], Array({2, 2}, {1.f, -1.f, 3.f, 4.f})) << nan;
    EXPECT_NE(ErrorFrom("a,b\n1," + nan + "\n").find("CsvOptions::missing says what to read then"), std::string::npos);
    EXPECT_EQ(From("a,b\n1," + nan + "\n3,4\n", {.label = {"b"}, .missing = 7.0f}).y[0], Array({2}, {7, 4})) << nan;
  }
  EXPECT_EQ(ErrorFrom("a,b\n1,-nan\n"),
            "t.csv:2: column 'b': '-nan' is no number; CsvOptions::missing says what to read then");
}

TEST_F(Csv, SignsAndTinyNumbers) {
  EXPECT_EQ(From("a,b\n+1.5,+2e+1\n\"+3\", +.5 \n").x[0], Array({2, 2}, {1.5f, 20.f, 3.f, 0.5f}));
  const std::string zeros(400, '0');
  for (const std::string& tiny :
       std::vector<std::string>{"1e-50", "1e-400", "+1e-400", "9.9E-999", "1e-99999999999999999999", "0." + zeros + "1",
                                "." + zeros + "1e+50", "1" + zeros + "e-900", "0e999"}) {
    EXPECT_EQ(From("a,b\n1," + tiny + "\n").x[0], Array({1, 2}, {1.f, 0.f})) << tiny;
    if (tiny[0] != '+') {
      EXPECT_EQ(From("a,b\n1,-" + tiny + "\n").x[0], Array({1, 2}, {1.f, -0.f})) << tiny;  // bit for bit
    }
  }
  for (const std::string& wrong : std::vector<std::string>{"+", "-", "+-1", "-+1", "++1", "+ 1", "+x", "1e-400x",
                                                           "+1e400", "1e99999999999999999999", "1" + zeros,
                                                           "." + zeros + "1e900", "+inf", "-inf", "Infinity"})
    EXPECT_NE(ErrorFrom("a,b\n1," + wrong + "\n").find("is no number"), std::string::npos) << wrong;
}

TEST_F(Csv, BadRowsAreNamedOrSkippedAndCounted) {
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"1,2,3\n", "has 3 fields, 2 were expected"},
      {"1\n", "has 1 fields, 2 were expected"},
      {"1,x\n", "column 'b': 'x' is no number"},
      {"1,2x\n", "'2x' is no number"},
      {"1,0x10\n", "is no number"},
      {"1,1e999\n", "is no number that float32 holds"},
      {"1,1e39\n", "is no number that float32 holds"},
      {"1,inf\n", "is no number that float32 holds"},
      {"1,\"2\" 3\n", "' 3' follows a closed quote"},
      {std::string("1,2\0\n", 5), "is no number"},
  };
  for (const auto& [row, what] : bad) {
    const std::string text = "a,b\n1,2\n" + row + "5,6\n";
    const std::string said = ErrorFrom(text);
    EXPECT_EQ(said.rfind("t.csv:3: ", 0), 0u) << said;
    EXPECT_NE(said.find(what), std::string::npos) << said;
    int64_t skipped = -1;
    EXPECT_EQ(From(text, {.on_bad_row = BadRow::kSkip, .skipped = &skipped}).x[0], Array({2, 2}, {1.f, 2.f, 5.f, 6.f}))
        << row;
    EXPECT_EQ(skipped, 1) << row;
  }
  int64_t skipped = -1;
  EXPECT_EQ(From("a,b\n1,2\n3,\"4\n5,6\n", {.on_bad_row = BadRow::kSkip, .skipped = &skipped}).x[0],
            Array({2, 2}, {1.f, 2.f, 5.f, 6.f}))
      << "an open quote costs its own line";
  EXPECT_EQ(skipped, 1);
  EXPECT_EQ(ErrorFrom("a,b\n1,2\n3,\"4\n5,6\n"), "t.csv:3: a quote is not closed before the end of the file");
  From("a\n1\n", {.on_bad_row = BadRow::kSkip, .skipped = &skipped});
  EXPECT_EQ(skipped, 0);
  // Lines are counted through quotes that hold some.
  EXPECT_EQ(ErrorFrom("a,b\n\"1\n\",2\n3\n", {.columns = {"b"}}).substr(0, 8), "t.csv:4:");
  EXPECT_EQ(ErrorFrom("a,b\nx\n", {.on_bad_row = BadRow::kSkip}),
            "t.csv: has no rows but 1 bad ones, which were skipped");
}

// What an open quote would enclose, up to the next one or to the end, are rows that nobody counted.
TEST_F(Csv, AnOpenQuoteTakesNoOtherRowsWithIt) {
  int64_t skipped = -1;
  const CsvOptions skip{.on_bad_row = BadRow::kSkip, .skipped = &skipped};
  EXPECT_EQ(From("a,b\n1,2\n\"3,4\n5,6\n7,8\n9,10\n", skip).x[0],
            Array({4, 2}, {1.f, 2.f, 5.f, 6.f, 7.f, 8.f, 9.f, 10.f}));
  EXPECT_EQ(skipped, 1);
  EXPECT_EQ(From("a,b\n\"3,4\n5,6\n7,\"8\n9,\"10\"\n", skip).x[0], Array({2, 2}, {5.f, 6.f, 9.f, 10.f}));
  EXPECT_EQ(skipped, 2);
  EXPECT_EQ(ErrorFrom("a,b\n\"1\",2\n\"3,4\n5,6\n"), "t.csv:3: a quote is not closed before the end of the file");
}

TEST_F(Csv, LinesMayEndWithCarriageReturns) {
  const Array expected({2, 2}, {1.f, 2.f, 3.f, 4.f});
  EXPECT_EQ(From("a,b\r1,2\r3,4\r").x[0], expected);
  EXPECT_EQ(From("a,b\r\r\"1\",2\r3,4").x[0], expected);
  EXPECT_EQ(ErrorFrom("a,b\r1,2\r3,x\r").substr(0, 8), "t.csv:3:");
  EXPECT_EQ(ErrorFrom("a\n1\r2\n").substr(0, 8), "t.csv:2:") << "in a file of other lines it is no end of one";
}

TEST_F(Csv, AListOfWordsHasEachOnce) {
  std::map<std::string, std::vector<std::string>> words{{"b", {"x", "y", "x"}}};
  EXPECT_EQ(ErrorFrom("a,b\n1,x\n2,y\n", {.categories = {"b"}, .vocabulary = &words}),
            "t.csv: column 'b': its list has the word 'x' twice, at 0 and 2; a word has one place");
}

TEST_F(Csv, WrongRequests) {
  const std::string text = "a,b,a\n1,2,3\n";
  EXPECT_EQ(ErrorFrom("", {}), "t.csv: is empty");
  EXPECT_EQ(ErrorFrom("a,b\n", {}), "t.csv: has no rows");
  EXPECT_EQ(ErrorFrom(text, {.label = {"c"}}), "t.csv: has no column 'c'; there are: a b a");
  EXPECT_NE(ErrorFrom(text, {.label = {"a"}}).find("several columns 'a'"), std::string::npos);
  EXPECT_NE(ErrorFrom(text, {.label = {"b"}, .columns = {"b"}}).find("twice"), std::string::npos);
  EXPECT_NE(ErrorFrom("a\n1\n", {.label = {"a"}}), "");
  EXPECT_NE(ErrorFrom("a,b\n1,2\n", {.columns = {"a"}, .categories = {"b"}}), "");
  EXPECT_NE(ErrorFrom("\"a,b\n1,2\n", {.on_bad_row = BadRow::kSkip}).find("the header"), std::string::npos);
  EXPECT_NE(ErrorFrom(text, {.delimiter = '"'}), "");
  EXPECT_NE(ErrorOf([&] { Dataset::from_csv(path("none.csv")); }), "");
}

TEST_F(Csv, OfHostileBytes) {
  const std::string text = "a,\"b\"\r\n1,\"2\"\"\"\n\"\n\",4\n";
  testing::Mangle(
      std::as_bytes(std::span(text)),
      [&](Bytes bytes) {
        for (const bool header : {false, true})
          From({reinterpret_cast<const char*>(bytes.data()), bytes.size()},
               {.categories = {header ? "b" : "1"}, .header = header, .on_bad_row = BadRow::kSkip});
      },
      false);
}

}  // namespace
}  // namespace ingot
