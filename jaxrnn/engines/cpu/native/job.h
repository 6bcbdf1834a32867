// One of the products of a call, in parts that threads may run at the same time.
#pragma once

#include "code.h"
#include "real.h"

namespace jaxrnn {

// What all products of a call share.
template <class T>
struct Sequence {
  ffi::ThreadPool& pool;
  const Kernels<T>& kernels;
  std::ptrdiff_t steps, batch;
  bool reverse;
  const bool* mask;  // (T, B), or null
  Real real;

  std::ptrdiff_t total() const { return steps * batch; }
};

template <class T>
class Job {
 public:
  virtual ~Job() = default;

  // How many products of numbers it is.
  virtual double size() const = 0;
  // Makes it ready for so many threads; false if memory runs out.
  virtual bool prepare(std::ptrdiff_t threads) = 0;
  virtual void run(std::ptrdiff_t part) const = 0;
  std::ptrdiff_t parts() const { return parts_; }

 protected:
  explicit Job(const Sequence<T>& sequence) : s(sequence) {}

  const Sequence<T>& s;
  std::ptrdiff_t parts_ = 1;
};

}  // namespace jaxrnn
