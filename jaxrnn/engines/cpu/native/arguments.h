// Checks the buffers of a call against its sizes and returns typed pointers.
#pragma once

#include <initializer_list>
#include <string>
#include <type_traits>

#include "kernels.h"
#include "xla/ffi/api/ffi.h"

namespace jaxrnn {

namespace ffi = xla::ffi;

template <class T>
constexpr ffi::DataType dtype_of() {
  if constexpr (std::is_same_v<T, bool>) return ffi::DataType::PRED;
  if constexpr (std::is_same_v<T, float>) return ffi::DataType::F32;
  if constexpr (std::is_same_v<T, double>) return ffi::DataType::F64;
  if constexpr (std::is_same_v<T, Bfloat16>) return ffi::DataType::BF16;
}

// Whether a buffer stands for a missing array: its shape is (0,).
inline bool is_absent(const ffi::AnyBuffer& buffer) {
  const auto dims = buffer.dimensions();
  return dims.size() == 1 && dims[0] == 0;
}

// Keeps the first error found in the buffers of a call.
class Arguments {
 public:
  // The data of `buffer`; an error if its shape or dtype differs.
  template <class T>
  T* array(const char* name, const ffi::AnyBuffer& buffer,
           std::initializer_list<std::ptrdiff_t> shape) {
    const auto dims = buffer.dimensions();
    bool fits = buffer.element_type() == dtype_of<std::remove_const_t<T>>() &&
                dims.size() == shape.size();
    for (std::size_t axis = 0; fits && axis < shape.size(); axis++)
      fits = dims[axis] == shape.begin()[axis];
    if (!fits && error_.success())
      error_ = ffi::Error::InvalidArgument(std::string(name) + " has another shape or dtype");
    return static_cast<T*>(buffer.untyped_data());
  }

  // Same, but null for a missing array.
  template <class T>
  T* optional(const char* name, const ffi::AnyBuffer& buffer,
              std::initializer_list<std::ptrdiff_t> shape) {
    return is_absent(buffer) ? nullptr : array<T>(name, buffer, shape);
  }

  void require(bool condition, const char* message) {
    if (!condition && error_.success()) error_ = ffi::Error::InvalidArgument(message);
  }

  const ffi::Error& error() const { return error_; }

 private:
  ffi::Error error_;
};

}  // namespace jaxrnn
