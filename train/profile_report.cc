// SPDX-License-Identifier: MIT
//
// A profile as tables, as JSON, and as a trace.
#include <algorithm>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "ingot/core/error.h"
#include "ingot/core/plural.h"
#include "ingot/core/printed.h"
#include "ingot/io/atomic_file.h"
#include "ingot/kernels/ceilings.h"
#include "ingot/train/profile.h"

namespace ingot {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr size_t kWidth = 120;

// A line of a table: what is too long for it is cut.
void Cut(std::string& text, size_t width) {
  if (text.size() <= width) return;
  text.resize(width - 2);
  while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xC0) == 0x80) text.pop_back();  // UTF-8
  if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xC0) text.pop_back();
  text += "..";
}

std::string Line(std::string text) {
  Cut(text, kWidth);
  while (text.ends_with(' ')) text.pop_back();
  return text + "\n";
}

std::string Left(std::string text, size_t width) {
  Cut(text, width);
  return text + std::string(width - text.size(), ' ');
}

double Share(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }
double Rate(double work, double ms) { return ms > 0 ? work / ms / 1e6 : 0; }

std::string JsonText(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

// "(loss)": what the plan does between layers is of its phase.
std::string LayerOf(const Profile::Part& part) { return part.layer.empty() ? "(" + part.phase + ")" : part.layer; }

}  // namespace

std::vector<Profile::Part> Profile::layers() const {
  std::vector<Part> sums;
  std::map<std::string, size_t> place;
  for (const Part& step : steps) {
    const auto [at, fresh] = place.emplace(LayerOf(step), sums.size());
    if (fresh) sums.push_back({"", at->first, "", "", 0, 0, 0});
    Part& sum = sums[at->second];
    sum.ms += step.ms, sum.flops += step.flops, sum.bytes += step.bytes;
  }
  std::stable_sort(sums.begin(), sums.end(), [](const Part& a, const Part& b) { return a.ms > b.ms; });
  return sums;
}

Profile::Bound Profile::bound(const Part& part) const {
  const Ceilings& most = CeilingsOf(threads);
  const double arithmetic = part.flops / most.gflops / 1e6;
  const double memory = part.bytes > 0 ? part.bytes / most.gbs(part.bytes) / 1e6 : 0;
  return {std::max(arithmetic, memory), memory >= arithmetic};
}

std::string Profile::str(size_t most) const {
  const Ceilings& ceilings = CeilingsOf(threads);
  const char* what = training ? "step of training" : "prediction";
  std::string text = Line(
      Printed("%s, batch %lld, %s: a %s takes %.4f ms (least %.4f), %.1f GFLOP/s, %.1f %% of %.0f", model.c_str(),
              static_cast<long long>(batch), Counted(static_cast<size_t>(threads), "thread").c_str(), what, ms_median,
              ms_min, Rate(flops, ms_median), Share(Rate(flops, ms_median), ceilings.gflops), ceilings.gflops));
  text += "\n" + Line(Printed("%-10s %10s %7s", "phase", "seconds", "share"));
  for (const Phase& p : phases)
    if (p.seconds > 5e-4 * seconds)
      text += Line(Printed("%-10s %10.4f %6.1f%%", p.name.c_str(), p.seconds, Share(p.seconds, seconds)));
  text += Line(Printed("%-10s %10.4f  %s%s, %lld of them looked into", "all", seconds,
                       epochs ? (Counted(static_cast<size_t>(epochs), "epoch") + ", ").c_str() : "",
                       Counted(static_cast<size_t>(steps_done), training ? "step" : "prediction").c_str(),
                       static_cast<long long>(looked_into)));
  bool head = false;
  for (const Call& call : calls) {
    if (call.seconds < 1e-4 * seconds) continue;
    if (!head) text += "\n" + Line(Printed("%10s %7s %9s  %s", "seconds", "share", "calls", "callback"));
    head = true;
    text += Line(Printed("%10.4f %6.1f%% %9lld  %s.%s", call.seconds, Share(call.seconds, seconds),
                         static_cast<long long>(call.calls), call.callback.c_str(), call.hook.c_str()));
  }

  double sum = copy_ms;
  for (const Part& step : steps) sum += step.ms;
  const auto row = [&](const Part& part) {
    const Bound best = bound(part);
    return Printed("%9.4f %5.1f%% %8.1f %7.1f %7.1f%% %-10s ", part.ms, Share(part.ms, sum), Rate(part.flops, part.ms),
                   Rate(part.bytes, part.ms), Share(best.ms, part.ms), best.memory ? "memory" : "arithmetic");
  };
  const auto table = [&](std::vector<Part> parts, const char* heads,
                         const std::function<std::string(const Part&)>& name) {
    text += "\n" + Line(Printed("%9s %6s %8s %7s %8s %-10s %s", "ms", "share", "GFLOP/s", "GB/s", "roofline",
                                "bound by", heads));
    std::stable_sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.ms > b.ms; });
    double rest = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i < most)
        text += Line(row(parts[i]) + name(parts[i]));
      else
        rest += parts[i].ms;
    }
    if (parts.size() > most)
      text += Line(Printed("%9.4f %5.1f%% of %zu more", rest, Share(rest, sum), parts.size() - most));
  };
  table(layers(), "layer", [](const Part& part) { return part.layer; });
  table(steps, "phase    layer            kernel               shapes", [](const Part& part) {
    return Left(part.phase, 8) + " " + Left(part.layer, 16) + " " + Left(part.kernel, 20) + " " + part.shapes;
  });
  text += Line(Printed("%zu steps of the plan take %.4f ms by themselves, and to bring the batch in %.4f ms",
                       steps.size(), sum - copy_ms, copy_ms));
  std::string copies;
  for (const Ceilings::Copy& copy : ceilings.copies)
    copies += Printed("%s%.0f in %s", copies.empty() ? "" : ", ", copy.gbs, copy.name);
  text += Line(Printed("roofline: %.0f GFLOP/s; GB/s by bytes of a thread: %s (took %.1f s)", ceilings.gflops,
                       copies.c_str(), ceilings.seconds));
  return text;
}

std::string Profile::json() const {
  const Ceilings& ceilings = CeilingsOf(threads);
  double sum = copy_ms;
  for (const Part& step : steps) sum += step.ms;
  OrderedJson json = {{"model", model},
                      {"what", training ? "step" : "predict"},
                      {"batch", batch},
                      {"threads", threads},
                      {"ms_median", ms_median},
                      {"ms_min", ms_min},
                      {"copy_ms", copy_ms},
                      {"gflops", Rate(flops, ms_median)},
                      {"percent_of_peak", Share(Rate(flops, ms_median), ceilings.gflops)},
                      {"epochs", epochs},
                      {"steps", steps_done},
                      {"looked_into", looked_into},
                      {"seconds", seconds}};
  json["ceilings"] = {{"gflops", ceilings.gflops}, {"seconds", ceilings.seconds}};
  for (const Ceilings::Copy& copy : ceilings.copies) json["ceilings"]["copy_gbs"][copy.name] = copy.gbs;
  json["phases"] = OrderedJson::array();
  for (const Phase& p : phases)
    json["phases"].push_back({{"phase", p.name}, {"seconds", p.seconds}, {"percent", Share(p.seconds, seconds)}});
  json["callbacks"] = OrderedJson::array();
  for (const Call& call : calls)
    json["callbacks"].push_back({{"callback", call.callback},
                                 {"hook", call.hook},
                                 {"calls", call.calls},
                                 {"seconds", call.seconds},
                                 {"percent", Share(call.seconds, seconds)}});
  const auto figures = [&](const Part& part, OrderedJson line) {
    const Bound best = bound(part);
    line.update({{"ms", part.ms},
                 {"percent", Share(part.ms, sum)},
                 {"gflops", Rate(part.flops, part.ms)},
                 {"gbs", Rate(part.bytes, part.ms)},
                 {"percent_of_roofline", Share(best.ms, part.ms)},
                 {"bound_by", best.memory ? "memory" : "arithmetic"}});
    return line;
  };
  json["layers"] = OrderedJson::array();
  for (const Part& part : layers()) json["layers"].push_back(figures(part, {{"layer", part.layer}}));
  json["plan"] = OrderedJson::array();
  for (const Part& part : steps)
    json["plan"].push_back(figures(
        part, {{"phase", part.phase}, {"layer", part.layer}, {"kernel", part.kernel}, {"shapes", part.shapes}}));
  return JsonText(json);
}

void Profile::write_trace(const std::string& path) const {
  AtomicFile file(path);
  std::string text = R"({"displayTimeUnit":"ms","traceEvents":[)";
  text += Printed(R"({"ph":"M","pid":1,"name":"process_name","args":{"name":%s}})", JsonText("ingot " + model).c_str());
  std::vector<std::string> shown;
  for (const std::string& name : names) shown.push_back(JsonText(name));
  for (size_t t = 0; t < trace.size(); ++t) {
    const size_t id = t + 1;
    text += ",\n" + Printed(R"({"ph":"M","pid":1,"tid":%zu,"name":"thread_name","args":{"name":)", id);
    text +=
        JsonText(trace[t].name + (trace[t].dropped ? Text(" (", trace[t].dropped, " more were not kept)") : "")) + "}}";
    text +=
        ",\n" + Printed(R"({"ph":"M","pid":1,"tid":%zu,"name":"thread_sort_index","args":{"sort_index":%zu}})", id, id);
    for (const Event& e : trace[t].events) {
      text +=
          Printed(",\n{\"ph\":\"X\",\"pid\":1,\"tid\":%zu,\"ts\":%lld.%03lld,\"dur\":%lld.%03lld,\"name\":", id,
                  static_cast<long long>(e.begin / 1000), static_cast<long long>(e.begin % 1000),
                  static_cast<long long>((e.end - e.begin) / 1000), static_cast<long long>((e.end - e.begin) % 1000));
      text += shown[static_cast<size_t>(e.name)];
      text += e.number >= 0 ? Printed(",\"args\":{\"number\":%lld}}", static_cast<long long>(e.number)) : "}";
      if (text.size() < (1 << 20)) continue;
      file.Write(text.data(), text.size());
      text.clear();
    }
  }
  text += "\n]}\n";
  file.Write(text.data(), text.size());
  file.Commit();
}

}  // namespace ingot
