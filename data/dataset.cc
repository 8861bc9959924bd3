// SPDX-License-Identifier: MIT
#include "ingot/data/dataset.h"

#include "ingot/core/error.h"
#include "ingot/data/stage.h"

namespace ingot {

StagePtr Dataset::stage() const { return stage_ ? stage_ : RowsOf(*this); }

Dataset Dataset::from_generator(std::function<Generator()> begin) { return Dataset(GeneratorOf(std::move(begin))); }

Dataset Dataset::shuffle(int64_t buffer, uint64_t seed) const { return Dataset(Shuffled(stage(), buffer, seed)); }
Dataset Dataset::map(std::function<void(Sample&)> fn, const MapOptions& o) const {
  return Dataset(Mapped(stage(), std::move(fn), o.threads));
}
Dataset Dataset::batch(int64_t rows, const BatchOptions& o) const {
  return Dataset(Batched(stage(), rows, o.drop_remainder));
}
Dataset Dataset::cache() const { return Dataset(Cached(stage(), "")); }
Dataset Dataset::cache(const std::string& path) const {
  if (path.empty()) Fail("cache: the path is empty; leave it out to cache in memory");
  if (path.find('\0') != std::string::npos)
    Fail("cache: the path '", path.c_str(), "' is followed by a NUL byte, which no path may hold");
  return Dataset(Cached(stage(), path));
}
Dataset Dataset::prefetch(int64_t elements) const { return Dataset(Prefetched(stage(), elements)); }
Dataset Dataset::repeat() const { return Dataset(Repeated(stage(), kForever)); }
Dataset Dataset::repeat(int64_t times) const {
  if (times < 0) Fail("repeat: ", times, " times were asked for; leave the number out to repeat without end");
  return Dataset(Repeated(stage(), times));
}
Dataset Dataset::take(int64_t elements) const {
  if (elements < 0) Fail("take: ", elements, " elements were asked for, 0 or more was expected");
  return Dataset(Strided(stage(), 0, elements, 1));
}
Dataset Dataset::skip(int64_t elements) const {
  if (elements < 0) Fail("skip: ", elements, " elements were asked for, 0 or more was expected");
  return Dataset(Strided(stage(), elements, kForever, 1));
}
Dataset Dataset::shard(int64_t index, int64_t count) const {
  if (count <= 0 || index < 0 || index >= count)
    Fail("shard: part ", index, " of ", count, " was asked for, 0 to ", count - 1, " may be");
  return Dataset(Strided(stage(), index, kForever, count));
}
Dataset Dataset::zip(const Dataset& other) const { return Dataset(Zipped(stage(), other.stage())); }

std::optional<int64_t> Dataset::size() const {
  if (none() && y.empty()) return 0;
  const int64_t n = stage()->size();
  return n == kUnknown || n == kForever ? std::nullopt : std::optional(n);
}

Samples Dataset::slice(int64_t first, int64_t last) const {
  if (staged()) Fail("slice: the data set has stages; use skip(", first, ").take(", last - first, ")");
  return Samples::slice(first, last);
}

std::string Dataset::str() const { return stage()->str(); }

Dataset::Reader::Reader(std::unique_ptr<Sequence> sequence) : sequence_(std::move(sequence)) {}
Dataset::Reader::~Reader() = default;
Dataset::Reader::Reader(Reader&&) noexcept = default;
bool Dataset::Reader::next(Sample& sample) { return sequence_->Next(sample); }
Dataset::Reader Dataset::read(int64_t epoch) const { return Reader(stage()->Open(epoch)); }

}  // namespace ingot
