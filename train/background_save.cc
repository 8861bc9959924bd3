// SPDX-License-Identifier: MIT
#include "ingot/train/background_save.h"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

namespace ingot {
namespace {

constexpr size_t kTile = size_t{4} << 20;  // bytes that a thread copies at a time

void CopyOn(ThreadPool& pool, std::byte* to, const std::byte* from, size_t bytes) {
  pool.For(static_cast<int64_t>((bytes + kTile - 1) / kTile), [&](int64_t tile) {
    const size_t at = static_cast<size_t>(tile) * kTile;
    std::memcpy(to + at, from + at, std::min(kTile, bytes - at));
  });
}

void MakeRoom(std::shared_ptr<Block>& block, size_t bytes, const std::string& model) {
  if (block && block->size() >= bytes) return;
  block.reset();  // before the larger one is asked for
  block = std::make_shared<Block>(bytes, "copy of model '" + model + "' that is saved in the background");
}

}  // namespace

// What is under way, or has failed and was not said yet.
struct BackgroundSave::Job {
  const pid_t process = getpid();  // after a fork the thread is in the parent alone
  bool done = false;
  std::string error;
};

// Of the whole process, so that its end can wait for them: std::exit leaves models on the stack as they are.
struct BackgroundSave::Jobs {
  std::mutex mutex;  // of all jobs too
  std::condition_variable ended;
  std::vector<std::shared_ptr<Job>> all;

  Jobs() {
    std::atexit([] { The().WaitForAll(); });
  }
  static Jobs& The() {
    static Jobs& jobs = *new Jobs;  // never destroyed: models may end after everything else of the process
    return jobs;
  }
  void Add(const std::shared_ptr<Job>& job) {
    const std::lock_guard lock(mutex);
    all.push_back(job);
  }
  std::string Remove(const std::shared_ptr<Job>& job) {  // says what went wrong
    const std::lock_guard lock(mutex);
    std::erase(all, job);
    return std::exchange(job->error, "");
  }
  void WaitForAll() {
    std::unique_lock lock(mutex);
    for (const std::shared_ptr<Job>& job : std::vector(all)) {
      if (job->process != getpid()) continue;
      ended.wait(lock, [&] { return job->done; });
      if (!job->error.empty()) std::fprintf(stderr, "ingot: a save in the background failed: %s\n", job->error.c_str());
      job->error.clear();
    }
  }
};

BackgroundSave::~BackgroundSave() {
  const std::string error = Finish();
  if (!error.empty()) std::fprintf(stderr, "ingot: a save in the background failed: %s\n", error.c_str());
}

std::string BackgroundSave::Finish() {
  if (!job_) return "";
  if (job_->process != getpid())
    thread_.detach();  // it never came along
  else if (thread_.joinable())
    thread_.join();
  return Jobs::The().Remove(std::exchange(job_, nullptr));
}

void BackgroundSave::Wait() {
  const std::string error = Finish();
  if (!error.empty()) Fail("a save in the background failed: ", error);
}

void BackgroundSave::Copy(Checkpoint& c, ThreadPool& pool) {
  const Layout& layout = c.layout;
  MakeRoom(weights_, layout.bytes(), c.network->name);
  if (layout.variables().empty()) return;
  if (layout.Contiguous()) {
    CopyOn(pool, weights_->data(), layout.variables()[0]->arena->data(), layout.bytes());
  } else {
    for (size_t i = 0; i < layout.variables().size(); ++i) {
      const Variable& v = *layout.variables()[i];
      CopyOn(pool, weights_->data() + layout.offset(i), reinterpret_cast<const std::byte*>(v.data()), v.bytes());
    }
  }
  c.copied = weights_;
  if (!c.slots) return;
  MakeRoom(slots_, c.slots->size(), c.network->name);
  CopyOn(pool, slots_->data(), c.slots->data(), c.slots->size());
  c.slots = slots_;
}

void BackgroundSave::Start(Writing writing) {
  auto job = std::make_shared<Job>();
  Jobs::The().Add(job);
  const auto run = [job, writing = std::move(writing)] {
    std::string error;
    try {
      writing();
    } catch (const std::exception& e) {
      error = e.what();
    } catch (...) {
      error = "for a reason that has no name";
    }
    Jobs& jobs = Jobs::The();
    const std::lock_guard lock(jobs.mutex);
    job->done = true;
    job->error = error;
    jobs.ended.notify_all();
  };
  job_ = job;
  try {
    thread_ = std::thread(run);
  } catch (const std::system_error&) {  // the system gives no more threads: this one does the work
    run();
  }
}

}  // namespace ingot
