// SPDX-License-Identifier: MIT
#include "ingot/train/background_save.h"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "ingot/core/trace.h"

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
  std::thread thread;              // none if there was none to be had
  bool done = false;
  std::string error;
};

// Of the whole process, so that its end can wait for them: std::exit leaves models on the stack as they are.
struct BackgroundSave::Jobs {
  std::mutex mutex;  // of what jobs hold too
  std::condition_variable ended;
  std::vector<std::shared_ptr<Job>> all;

  Jobs() {
    std::atexit([] { The().AtExit(); });
  }
  static Jobs& The() {
    static Jobs& jobs = *new Jobs;  // never destroyed: models may end after everything else of the process
    return jobs;
  }

  void Start(const std::shared_ptr<Job>& job, const std::function<void()>& run) {
    {
      const std::lock_guard lock(mutex);
      all.push_back(job);
      try {
        job->thread = std::thread(run);
        return;
      } catch (const std::system_error&) {  // the system gives no more threads: this one does the work
      }
    }
    run();
  }
  void End(Job& job, const std::string& error) {
    const std::lock_guard lock(mutex);
    job.done = true;
    job.error = error;
    ended.notify_all();
  }
  // Until it is done. What went wrong is said to one who asks.
  std::string Finish(const std::shared_ptr<Job>& job) {
    std::unique_lock lock(mutex);
    std::erase(all, job);
    std::thread thread = std::move(job->thread);
    if (job->process != getpid()) {
      if (thread.joinable()) thread.detach();  // it never came along
      return "";
    }
    ended.wait(lock, [&] { return job->done; });
    lock.unlock();
    if (thread.joinable()) thread.join();
    lock.lock();
    return std::exchange(job->error, "");
  }
  void AtExit() {
    std::unique_lock lock(mutex);
    const std::vector<std::shared_ptr<Job>> left = all;
    lock.unlock();
    for (const std::shared_ptr<Job>& job : left) Say(Finish(job));
  }
  static void Say(const std::string& error) {
    if (!error.empty()) std::fprintf(stderr, "ingot: a save in the background failed: %s\n", error.c_str());
  }
};

BackgroundSave::~BackgroundSave() { Jobs::Say(Finish()); }

std::string BackgroundSave::Finish() { return job_ ? Jobs::The().Finish(std::exchange(job_, nullptr)) : ""; }

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
  job_ = std::make_shared<Job>();
  Jobs::The().Start(job_, [job = job_, writing = std::move(writing), starter = std::this_thread::get_id()] {
    if (std::this_thread::get_id() != starter) Trace::NameThread(kBackgroundSaveThread);
    const TraceSpan span("save");
    std::string error;
    try {
      writing();
    } catch (const std::exception& e) {
      error = e.what();
    } catch (...) {
      error = "for a reason that has no name";
    }
    Jobs::The().End(*job, error);
  });
}

}  // namespace ingot
