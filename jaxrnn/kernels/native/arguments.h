// The buffers of a call: checked against the sizes, and as typed pointers.
#pragma once

#include <initializer_list>
#include <string>

#include "kernels.h"
#include "xla/ffi/api/ffi.h"

namespace jaxrnn {

namespace ffi = xla::ffi;

// Gathers the first complaint about the buffers of a call.
class Arguments {
 public:
  explicit Arguments(ffi::DataType dtype) : dtype_(dtype) {}

  // The numbers of `buffer`, which must have this shape.
  template <class T>
  T* array(const char* name, const ffi::AnyBuffer& buffer,
           std::initializer_list<std::ptrdiff_t> shape) {
    const bool flags = std::is_same_v<std::remove_const_t<T>, bool>;
    const auto dims = buffer.dimensions();
    bool fits = buffer.element_type() == (flags ? ffi::DataType::PRED : dtype_) &&
                dims.size() == shape.size();
    for (std::size_t axis = 0; fits && axis < shape.size(); axis++)
      fits = dims[axis] == shape.begin()[axis];
    if (!fits && error_.success())
      error_ = ffi::Error::InvalidArgument(std::string(name) + " has another shape or dtype");
    return static_cast<T*>(buffer.untyped_data());
  }

  // The same, or null for an array (0,), which stands for one that is not there.
  template <class T>
  T* optional(const char* name, const ffi::AnyBuffer& buffer,
              std::initializer_list<std::ptrdiff_t> shape) {
    const auto dims = buffer.dimensions();
    if (dims.size() == 1 && dims[0] == 0) return nullptr;
    return array<T>(name, buffer, shape);
  }

  void require(bool condition, const char* message) {
    if (!condition && error_.success()) error_ = ffi::Error::InvalidArgument(message);
  }

  const ffi::Error& error() const { return error_; }

 private:
  ffi::DataType dtype_;
  ffi::Error error_;
};

}  // namespace jaxrnn
