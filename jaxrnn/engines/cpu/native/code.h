// What a call does, from the numbers and arrays in which Python writes it, each of which is checked.
#pragma once

#include <cstdint>

#include "call.h"

namespace jaxrnn {

// Numbers one after the other; past the end, or out of range, it fails for good.
class Code {
 public:
  explicit Code(ffi::Span<const std::int64_t> numbers) : numbers_(numbers) {}

  std::int64_t next(std::int64_t least, std::int64_t most) {
    const std::int64_t number = at_ < numbers_.size() ? numbers_[at_++] : most + 1;
    if (number >= least && number <= most) return number;
    failed_ = true;
    return least;
  }
  std::int64_t size() { return next(0, kMost); }
  int count(int most) { return static_cast<int>(next(0, most)); }
  bool is_done() const { return !failed_ && at_ == numbers_.size(); }
  bool failed() const { return failed_; }

 private:
  static constexpr std::int64_t kMost = std::int64_t{1} << 40;
  ffi::Span<const std::int64_t> numbers_;
  std::size_t at_ = 0;
  bool failed_ = false;
};

// The operands and results in the order in which Python passes them.
template <class T>
class Tensors {
 public:
  Tensors(ffi::RemainingArgs args, ffi::RemainingRets rets) : args_(args), rets_(rets) {}

  template <class Number = const T>
  Number* operand(std::initializer_list<std::ptrdiff_t> shape) {
    if (operand_ >= args_.size()) return missing<Number>();
    const auto buffer = args_.get<Buffer>(operand_++);
    return checked.array<Number>("an operand", *buffer, shape);
  }
  // Same, but null for a missing array.
  template <class Number = const T>
  Number* optional(std::initializer_list<std::ptrdiff_t> shape) {
    if (operand_ >= args_.size()) return missing<Number>();
    const auto buffer = args_.get<Buffer>(operand_++);
    return checked.optional<Number>("an operand", *buffer, shape);
  }
  T* result(std::initializer_list<std::ptrdiff_t> shape) {
    if (result_ >= rets_.size()) return missing<T>();
    auto buffer = rets_.get<Buffer>(result_++);
    return checked.array<T>("a result", **buffer, shape);
  }
  bool all_read() const { return operand_ == args_.size() && result_ == rets_.size(); }

  Arguments checked;

 private:
  template <class Number>
  Number* missing() {
    checked.require(false, "fewer arrays are given than are named");
    return nullptr;
  }
  ffi::RemainingArgs args_;
  ffi::RemainingRets rets_;
  std::size_t operand_ = 0, result_ = 0;
};

}  // namespace jaxrnn
