// One thread that does what it is given, one after the other.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace moellava {

class BackgroundQueue {
 public:
  BackgroundQueue();
  ~BackgroundQueue();  // what has not begun is forgotten
  BackgroundQueue(const BackgroundQueue&) = delete;
  BackgroundQueue& operator=(const BackgroundQueue&) = delete;

  void add(std::function<void()> work);
  // Until all is done; throws what one of them threw. After a failure the others are left out.
  void wait();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wanted_, idle_;
  std::deque<std::function<void()>> queue_;
  bool working_ = false;
  bool ending_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace moellava
