// SPDX-License-Identifier: MIT
//
// Pictures in a folder for each class.
#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <memory>

#include "ingot/core/error.h"
#include "ingot/core/threads.h"
#include "ingot/data/dataset.h"
#include "ingot/data/image_file.h"
#include "ingot/data/preprocess.h"
#include "ingot/data/stage.h"
#include "ingot/io/mapped_file.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

struct File {
  std::string path;
  int32_t label;
};

bool IsImage(const fs::path& path) {
  std::string end = path.extension().string();
  std::transform(end.begin(), end.end(), end.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return end == ".png" || end == ".jpg" || end == ".jpeg";
}

// Sorted, so that the same folder gives the same order on every file system.
std::vector<fs::path> Sorted(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> paths;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    paths.push_back(it->path());
  if (error) Fail("from_image_folder: ", folder.string(), ": ", error.message());
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::vector<File> FilesOf(const std::string& folder, std::vector<std::string>& classes) {
  std::vector<File> files;
  std::error_code error;
  for (const fs::path& sub : Sorted(folder)) {
    // Notebooks and file managers leave folders of their own.
    if (sub.filename().string().starts_with('.') || !fs::is_directory(sub, error)) continue;
    const auto label = static_cast<int32_t>(classes.size());
    classes.push_back(sub.filename().string());
    for (const fs::path& file : Sorted(sub))
      if (IsImage(file) && fs::is_regular_file(file, error)) files.push_back({file.string(), label});
  }
  if (files.empty())
    Fail("from_image_folder: ", folder,
         " holds no .png, .jpg or .jpeg files in folders of its own; one for each class was expected");
  return files;
}

Array Load(const std::string& path, const ImageFolderOptions& o) {
  const auto file = MappedFile::Open(path, LoadMode::kRead);
  const Array image = DecodeImage(file->bytes(), o.channels, path);
  return o.height ? Resized(image, o.height, o.width) : image;
}

}  // namespace

Dataset Dataset::from_image_folder(const std::string& folder, const ImageFolderOptions& options) {
  ImageFolderOptions o = options;
  if (o.height < 0 || o.width < 0 || (o.height == 0) != (o.width == 0))
    Fail("from_image_folder: height and width are ", o.height, " and ", o.width, "; both or none must be given");
  std::vector<std::string> classes;
  std::vector<File> files = FilesOf(folder, classes);
  if (o.on_bad_row == BadRow::kSkip) {
    std::vector<Shape> shapes(files.size());  // of no axes: it cannot be read
    ThreadPool::Default().For(static_cast<int64_t>(files.size()), [&](int64_t i) {
      const auto k = static_cast<size_t>(i);
      try {
        shapes[k] = Load(files[k].path, o).shape();
      } catch (const std::exception&) {
      }
    });
    std::vector<File> good;
    Shape first;
    for (size_t i = 0; i < files.size(); ++i) {
      if (good.empty()) first = shapes[i];
      if (shapes[i].rank() && shapes[i] == first) good.push_back(files[i]);
    }
    if (o.skipped) *o.skipped = static_cast<int64_t>(files.size() - good.size());
    if (good.empty()) Fail("from_image_folder: none of the ", files.size(), " pictures in ", folder, " can be read");
    files = std::move(good);
  } else if (o.skipped) {
    *o.skipped = 0;
  }
  if (o.classes) *o.classes = std::move(classes);
  const Shape shape = Load(files[0].path, o).shape();
  const auto n = static_cast<int64_t>(files.size());
  const auto read = [files = std::make_shared<const std::vector<File>>(std::move(files)), o, shape](int64_t i,
                                                                                                    Sample& s) {
    const File& file = (*files)[static_cast<size_t>(i)];
    Array image = Load(file.path, o);
    if (!(image.shape() == shape))
      Fail(file.path, ": the picture is ", image.shape(), ", the first one is ", shape,
           "; give height and width, and all are resized");
    s.x.push_back(std::move(image));
    s.y.push_back(s.make({}, DType::kInt32));
    std::memcpy(s.y[0].data(), &file.label, sizeof file.label);
  };
  return Dataset(Elements(n, read, "pictures of " + folder));
}

}  // namespace ingot
