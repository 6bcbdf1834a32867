// A matrix by which rows are multiplied, and what is added to each, as the kernels read them.
#pragma once

#include <cstring>

#include "call.h"

namespace jaxrnn {

template <class T>
class RowsMatrix {
 public:
  // Packs a matrix (depth, units), or the transpose of one (units, depth); false if memory runs out.
  // `bias` may be null.
  bool pack(ffi::ThreadPool& pool, const Kernels<T>& kernels, const T* matrix, const T* bias,
            std::ptrdiff_t depth, std::ptrdiff_t units, bool is_transposed,
            std::ptrdiff_t threads) {
    constexpr std::ptrdiff_t most_lanes = 64;  // a panel ends with a whole vector
    Sizes sizes = {};
    sizes.inputs = units;
    sizes.hidden = depth;
    const Packing packing = kernels.transposed_projection(sizes, 1);
    const auto pack_panel = is_transposed ? kernels.pack_transposed : kernels.pack;
    packed_ = packed(pool, kernels, packing, matrix, pack_panel, threads);
    if (!packed_) return false;
    if (!bias) return true;
    biases_ = allocate<T>(units + most_lanes);
    if (!biases_) return false;
    std::memcpy(biases_.get(), bias, units * sizeof(T));
    std::memset(biases_.get() + units, 0, most_lanes * sizeof(T));
    return true;
  }

  const T* matrix() const { return packed_.get(); }
  const T* bias() const { return biases_.get(); }

 private:
  Memory<T> packed_, biases_;
};

}  // namespace jaxrnn
