// SPDX-License-Identifier: MIT
#include "ingot/core/plan/passes.h"

#include <algorithm>
#include <numeric>

namespace ingot {
namespace {

size_t Index(Value v) { return static_cast<size_t>(v.id); }

size_t BytesOf(const ValueInfo& v) { return static_cast<size_t>(v.shape.count()) * SizeOf(v.dtype); }

}  // namespace

void DropUnused(Graph& graph) {
  std::vector<char> needed(graph.values().size(), 0);
  std::vector<Op>& ops = graph.ops();
  for (size_t i = ops.size(); i-- > 0;) {
    const bool keep = std::any_of(ops[i].out.begin(), ops[i].out.end(), [&](Value v) {
      const ValueInfo& root = graph.info(graph.Root(v));
      return root.space != Space::kActivation || root.keep || needed[Index(graph.Root(v))];
    });
    if (!keep) {
      ops[i].out.clear();
      continue;
    }
    for (const Value v : ops[i].in) needed[Index(graph.Root(v))] = 1;
  }
  std::erase_if(ops, [](const Op& op) { return op.out.empty(); });
}

size_t KeepWhatWeightsMake(Graph& graph) {
  size_t bytes = 0;
  const auto lasts = [&](Value v) {
    const Space space = graph.info(graph.Root(v)).space;
    return space == Space::kWeight || space == Space::kConstant || space == Space::kKept;
  };
  for (const Op& op : graph.ops()) {
    if (graph.training() || op.kernel != Kernel::kFoldNorm || !std::all_of(op.in.begin(), op.in.end(), lasts)) continue;
    for (const Value v : op.out) {
      ValueInfo& info = graph.info(graph.Root(v));
      info.space = Space::kKept;
      info.offset = bytes;
      bytes += AlignUp(BytesOf(info));
    }
  }
  return bytes;
}

bool IsOfWeights(const Graph& graph, const Op& op) {
  return std::all_of(op.out.begin(), op.out.end(),
                     [&](Value v) { return graph.info(graph.Root(v)).space == Space::kKept; });
}

bool WritesWeights(const Graph& graph, const Op& op) {
  return std::any_of(op.out.begin(), op.out.end(),
                     [&](Value v) { return graph.info(graph.Root(v)).space == Space::kWeight; });
}

bool MayKeep(const Graph& graph, const Op& op) {
  if (graph.training() || op.in.size() < 2) return false;
  const ValueInfo& w = graph.info(graph.Root(op.in[1]));
  if (w.space != Space::kWeight) return false;
  const auto& arena = graph.layout().variables()[static_cast<size_t>(w.variable)]->arena;
  return arena != nullptr && arena->pages() != Pages::kReadOnly;
}

Placement PlaceActivations(Graph& graph) {
  const std::vector<Op>& ops = graph.ops();
  const size_t n = graph.values().size();
  const int end = static_cast<int>(ops.size());
  struct Life {
    int first = -1, last = -1;
    size_t bytes = 0;
  };
  std::vector<Life> life(n);
  const auto placed = [&](Value root) { return graph.info(root).space == Space::kActivation; };
  const auto touch = [&](Value v, int at) {
    const Value root = graph.Root(v);
    Life& l = life[Index(root)];
    if (!l.bytes) l = {at, at, std::max<size_t>(1, BytesOf(graph.info(root)))};
    l.last = at;
    if (graph.info(root).keep) l.first = 0, l.last = end;
  };
  for (int i = 0; i < end; ++i) {
    for (const Value v : ops[static_cast<size_t>(i)].in) touch(v, i);
    for (const Value v : ops[static_cast<size_t>(i)].out) touch(v, i);
  }
  // What is fed or read has a place even where no operation touches it.
  for (size_t i = 0; i < n; ++i) {
    const Value v{static_cast<int32_t>(i)};
    if (graph.Root(v) == v && graph.info(v).keep && placed(v) && !life[i].bytes)
      life[i] = {0, end, std::max<size_t>(1, BytesOf(graph.info(v)))};
  }

  // home[v]: the root whose place v takes.
  std::vector<int32_t> home(n);
  std::iota(home.begin(), home.end(), 0);
  for (int i = 0; i < end; ++i) {
    const Op& op = ops[static_cast<size_t>(i)];
    if (!op.in_place) continue;
    const Value out = graph.Root(op.out[0]);
    if (!placed(out) || graph.info(out).keep || life[Index(out)].first != i) continue;
    for (const Value v : op.in) {
      const Value in = graph.Root(v);
      const auto is_in = [&](Value w) { return graph.Root(w) == in; };
      if (op.in_place_of_last && std::count_if(op.in.begin(), op.in.end(), is_in) > (is_in(op.in.back()) ? 1 : 0))
        continue;
      const Life& l = life[Index(in)];
      const size_t at = static_cast<size_t>(home[Index(in)]);
      if (!placed(in) || graph.info(in).keep || l.last != i || l.bytes != life[Index(out)].bytes) continue;
      if (life[at].last > i && static_cast<int32_t>(at) != in.id) continue;
      home[Index(out)] = home[Index(in)];
      life[at].last = std::max(life[at].last, life[Index(out)].last);
      break;
    }
  }

  std::vector<int32_t> order;
  for (size_t i = 0; i < n; ++i)
    if (life[i].bytes && home[i] == static_cast<int32_t>(i) && placed(Value{home[i]}) &&
        graph.Root(Value{home[i]}).id == home[i])
      order.push_back(home[i]);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return life[static_cast<size_t>(a)].bytes > life[static_cast<size_t>(b)].bytes;
  });
  Placement placement;
  placement.offset.assign(n, 0);
  std::vector<int32_t> by_offset;  // those that have a place, by offset
  for (const int32_t v : order) {
    const Life& l = life[static_cast<size_t>(v)];
    size_t at = 0;
    for (const int32_t other : by_offset) {
      const Life& o = life[static_cast<size_t>(other)];
      if (o.last < l.first || l.last < o.first) continue;
      const size_t from = placement.offset[static_cast<size_t>(other)];
      if (at + AlignUp(l.bytes) <= from) break;
      at = std::max(at, from + AlignUp(o.bytes));
    }
    placement.offset[static_cast<size_t>(v)] = at;
    placement.bytes = std::max(placement.bytes, at + AlignUp(l.bytes));
    by_offset.insert(
        std::upper_bound(by_offset.begin(), by_offset.end(), at,
                         [&](size_t offset, int32_t o) { return offset < placement.offset[static_cast<size_t>(o)]; }),
        v);
  }
  for (size_t i = 0; i < n; ++i) placement.offset[i] = placement.offset[static_cast<size_t>(home[i])];
  return placement;
}

}  // namespace ingot
