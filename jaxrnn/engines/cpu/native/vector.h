// Vectors as wide as the registers of the instruction set, JAXRNN_BYTES, written with the vector
// extension of GCC and Clang.
//
// Code that depends on the instruction set lives in its own namespace and calls no inline function
// outside it. Otherwise the linker could merge functions compiled for different instruction sets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "kernels.h"

#define JAXRNN_INLINE inline __attribute__((always_inline))

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(JAXRNN_BYTES)));
  typedef T unaligned __attribute__((vector_size(JAXRNN_BYTES), aligned(sizeof(T)), may_alias));
};

template <>
struct VectorOf<Bfloat16> : VectorOf<float> {};

template <class T>
using Vector = typename VectorOf<T>::type;

template <class T>
constexpr std::ptrdiff_t kLanes = JAXRNN_BYTES / sizeof(T);

template <class T>
constexpr std::ptrdiff_t padded(std::ptrdiff_t size) {
  return (size + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

template <class T>
JAXRNN_INLINE Vector<T> all(T value) {
  return value - Vector<T>{};
}

template <class T>
JAXRNN_INLINE Vector<T> load(const T* from) {
  return *reinterpret_cast<const typename VectorOf<T>::unaligned*>(from);
}

template <class T>
JAXRNN_INLINE void store(T* to, Vector<T> value) {
  *reinterpret_cast<typename VectorOf<T>::unaligned*>(to) = value;
}

// Stores past the caches, at a multiple of the size of a vector; call `finish_streams` at the end.
template <class T>
JAXRNN_INLINE void stream(T* to, Vector<T> value) {
#if defined(__AVX512F__) && JAXRNN_BYTES == 64
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), (__m512i)value);
#elif defined(__AVX2__) && JAXRNN_BYTES == 32
  _mm256_stream_si256(reinterpret_cast<__m256i*>(to), (__m256i)value);
#else
  store(to, value);
#endif
}

inline void finish_streams() {
#if defined(__AVX2__)
  _mm_sfence();
#endif
}

// The locality argument of __builtin_prefetch for the L1 and the L2 cache.
constexpr int kFirstCache = 3, kSecondCache = 2;

// Prefetches `columns` numbers of each row. The processor does not predict rows that are far apart.
template <int cache, class S>
JAXRNN_INLINE void prefetch(const S* from, std::ptrdiff_t stride, std::ptrdiff_t rows,
                         std::ptrdiff_t columns) {
  constexpr std::ptrdiff_t line = 64 / sizeof(S);
  for (std::ptrdiff_t row = 0; row < rows; row++, from += stride)
    for (std::ptrdiff_t i = 0; i < columns; i += line) __builtin_prefetch(from + i, 0, cache);
}

// A bfloat16 vector has the lanes of a float vector in half the bytes.
typedef std::uint16_t Halves __attribute__((vector_size(JAXRNN_BYTES / 2)));
typedef std::uint16_t UnalignedHalves
    __attribute__((vector_size(JAXRNN_BYTES / 2), aligned(2), may_alias));
typedef std::uint32_t Bits32 __attribute__((vector_size(JAXRNN_BYTES)));

JAXRNN_INLINE Vector<float> load(const Bfloat16* from) {
  const Halves halves = *reinterpret_cast<const UnalignedHalves*>(from);
  return (Vector<float>)(__builtin_convertvector(halves, Bits32) << 16);
}

// Rounds to nearest, ties to even; NaN stays NaN.
JAXRNN_INLINE void store(Bfloat16* to, Vector<float> value) {
  const Bits32 bits = (Bits32)value;
  const Bits32 rounded = bits + 0x7fff + ((bits >> 16) & 1);
  const Bits32 kept = value == value ? rounded : (bits | 0x400000);
  *reinterpret_cast<UnalignedHalves*>(to) = __builtin_convertvector(kept >> 16, Halves);
}

// The lanes that a masked load or store of the first `count` takes.
#if defined(__AVX512F__) && JAXRNN_BYTES == 64
JAXRNN_INLINE __mmask16 lanes(std::ptrdiff_t count) {
  return static_cast<__mmask16>((1u << count) - 1);
}
JAXRNN_INLINE Vector<float> load_lanes(const float* from, std::ptrdiff_t count) {
  return (Vector<float>)_mm512_maskz_loadu_ps(lanes(count), from);
}
JAXRNN_INLINE Vector<double> load_lanes(const double* from, std::ptrdiff_t count) {
  return (Vector<double>)_mm512_maskz_loadu_pd(static_cast<__mmask8>(lanes(count)), from);
}
JAXRNN_INLINE void store_lanes(float* to, Vector<float> value, std::ptrdiff_t count) {
  _mm512_mask_storeu_ps(to, lanes(count), (__m512)value);
}
JAXRNN_INLINE void store_lanes(double* to, Vector<double> value, std::ptrdiff_t count) {
  _mm512_mask_storeu_pd(to, static_cast<__mmask8>(lanes(count)), (__m512d)value);
}
#elif defined(__AVX2__) && JAXRNN_BYTES == 32
template <class Bits>
JAXRNN_INLINE __m256i lanes(std::ptrdiff_t count) {
  constexpr int most = 32 / sizeof(Bits);
  alignas(32) static const Bits flags[2 * most] = {
      Bits(-1), Bits(-1), Bits(-1), Bits(-1),
      most > 4 ? Bits(-1) : Bits(0), most > 4 ? Bits(-1) : Bits(0),
      most > 4 ? Bits(-1) : Bits(0), most > 4 ? Bits(-1) : Bits(0)};
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(flags + most - count));
}
JAXRNN_INLINE Vector<float> load_lanes(const float* from, std::ptrdiff_t count) {
  return (Vector<float>)_mm256_maskload_ps(from, lanes<std::int32_t>(count));
}
JAXRNN_INLINE Vector<double> load_lanes(const double* from, std::ptrdiff_t count) {
  return (Vector<double>)_mm256_maskload_pd(from, lanes<std::int64_t>(count));
}
JAXRNN_INLINE void store_lanes(float* to, Vector<float> value, std::ptrdiff_t count) {
  _mm256_maskstore_ps(to, lanes<std::int32_t>(count), (__m256)value);
}
JAXRNN_INLINE void store_lanes(double* to, Vector<double> value, std::ptrdiff_t count) {
  _mm256_maskstore_pd(to, lanes<std::int64_t>(count), (__m256d)value);
}
#endif

template <class S>
JAXRNN_INLINE Vector<Wide<S>> load_lanes(const S* from, std::ptrdiff_t count) {
  S part[kLanes<Wide<S>>] = {};
  std::memcpy(part, from, count * sizeof(S));
  return load(part);
}

template <class S>
JAXRNN_INLINE void store_lanes(S* to, Vector<Wide<S>> value, std::ptrdiff_t count) {
  S part[kLanes<Wide<S>>];
  store(part, value);
  std::memcpy(to, part, count * sizeof(S));
}

// Loads the first `count` lanes; the others are zero.
template <class S>
JAXRNN_INLINE Vector<Wide<S>> load(const S* from, std::ptrdiff_t count) {
  if (__builtin_expect(count >= kLanes<Wide<S>>, 1)) return load(from);
  return load_lanes(from, count);
}

template <class S>
JAXRNN_INLINE void store(S* to, Vector<Wide<S>> value, std::ptrdiff_t count) {
  if (__builtin_expect(count >= kLanes<Wide<S>>, 1)) return store(to, value);
  store_lanes(to, value, count);
}

// The value after storing it as S and loading it again.
template <class S>
JAXRNN_INLINE Vector<Wide<S>> rounded(Vector<Wide<S>> value) {
  if constexpr (sizeof(S) == sizeof(Wide<S>)) return value;
  S part[kLanes<Wide<S>>];
  store(part, value);
  return load(part);
}

// `count` numbers as Wide<S>: `from` itself if it has this type, or a copy in `scratch`.
template <class S>
const Wide<S>* widened(const S* from, std::ptrdiff_t count, Wide<S>* scratch) {
  if constexpr (sizeof(S) == sizeof(Wide<S>)) return from;
  for (std::ptrdiff_t i = 0; i < count; i += kLanes<Wide<S>>)
    store(scratch + i, load(from + i, count - i), count - i);
  return scratch;
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
