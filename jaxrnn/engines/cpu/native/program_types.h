// A program for the steps of a cell, as the handler hands it to the kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace jaxrnn {

// What an instruction does. The order is that of kOperations in operations.h, and of kNames below,
// by which Python knows them.
enum class Op : std::int32_t {
  kCopy, kNegative, kAbsolute, kSign, kExponent, kExpm1, kLog, kLog1p, kTanh, kSigmoid, kRoot,
  kInverseRoot, kSquare, kNot, kAdd, kSubtract, kMultiply, kDivide, kMaximum, kMinimum, kEqual,
  kNotEqual, kLess, kLessEqual, kAnd, kOr, kSelect, kMultiplyAdd, kMultiplySubtract,
  kSubtractProduct, kOneMinusTimes, kMix, kAddProducts, kTimesDifference, kDifferenceTimes,
  kAddTanh, kAddSigmoid, kTanhSlope, kSigmoidSlope, kTanhSlopeTimes, kSigmoidSlopeTimes,
  kSigmoidSlopeDifference, kAccumulate, kAccumulateProducts, kSum, kLargest, kSmallest,
  kSumOfProducts, kMean, kMeanAndScale, kNormalize, kNormalizeTimes, kNormalizeMultiplyAdd,
  kNormalizeSlope, kNormalizeSlopeTimes, kNormalizeSlopeSum, kProduct, kOps
};

constexpr char kNames[] =
    "copy neg abs sign exp expm1 log log1p tanh logistic sqrt rsqrt square not add sub mul div max "
    "min eq ne lt le and or select_n multiply_add multiply_subtract subtract_product "
    "one_minus_times mix add_products times_difference difference_times add_tanh "
    "add_logistic tanh_slope logistic_slope tanh_slope_times logistic_slope_times "
    "logistic_slope_difference accumulate accumulate_products reduce_sum reduce_max reduce_min "
    "reduce_products reduce_mean mean_and_scale normalize normalize_times normalize_multiply_add "
    "normalize_slope normalize_slope_times normalize_slope_sum product";

// The inputs of each; a product may have one less.
constexpr int kInputs[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2,
                           2, 2, 2, 2, 3, 3, 3, 3, 2, 3, 4, 3, 3, 2, 2, 2, 2, 3, 3, 4, 1, 2,
                           1, 1, 1, 2, 1, 2, 2, 3, 4, 3, 4, 5, 2};
static_assert(sizeof(kInputs) / sizeof(int) == static_cast<std::size_t>(Op::kOps));

constexpr int kMaxInputs = 5, kMaxBuffers = 512;
constexpr std::int64_t kMaxNumbers = 1 << 24;  // of a row, in one instruction
constexpr std::int64_t kMaxWidth = std::numeric_limits<std::int32_t>::max();  // of a buffer

// Where a buffer lies.
enum class Space {
  kLocal,     // scratch for a few rows, between two products
  kWide,      // scratch for all rows of a part
  kState,     // the carry before the step, or the cotangent of the one after it
  kNext,      // the other of the two
  kSum,       // a sum over the steps for each row
  kConstant,  // the same numbers for all rows
  kSequence,  // an array (T, B, width)
  kBefore,    // the carry before the step: an array of those after each tells it
  kSpaces
};

template <class T>
struct ProgramBuffer {
  Space space;
  std::ptrdiff_t width;  // of a row
  std::ptrdiff_t place;  // in scratch: each row of all buffers before it has this many numbers
  bool is_result;
  int kept;  // kState, kNext: the sequence that holds the state after each step; or -1
  T* array;
  T *first, *initial;  // kBefore: the carry before the first step, and the one of resets
};

// Small, as all instructions are read at each step, after matrices that leave no room in the cache.
struct ProgramView {
  std::int32_t offset, outer;  // in a row: where it begins, and the stride of its outer axis
  std::int32_t row;            // the distance between rows, zero where all are the same
  std::int16_t buffer;
  bool unit;       // whether it has the inner axis, or one number for all of it
  bool is_at_row;  // whether its rows are those of the part, not of a block
};

struct Instruction {
  Op op;
  std::int16_t matrix;  // of a product
  std::int8_t inputs;
  bool is_flat;  // whether rows lie one after the other in all operands
  std::int32_t outer, inner;
  ProgramView out, in[kMaxInputs];
};

template <class T>
struct ProgramMatrix {
  std::ptrdiff_t heads, depth, units;
  const T* packed;
  std::ptrdiff_t size;  // of a head, packed
};

// What rows times a matrix make, for some steps at a time, before these run: so it is read again
// from the L2 cache.
template <class T>
struct ProgramProjection {
  std::ptrdiff_t depth, units;
  const T* rows;           // (T, B, depth)
  T* out;                  // (T, B, units)
  const T *matrix, *bias;  // packed, as in `Inputs`
};

template <class T>
struct ProgramState {
  std::ptrdiff_t width, place;
  const T *first, *initial;  // (B, width): before the first step, and after a reset
  T *last, *dinitial;        // (B, width)
  int kept;                  // as in a buffer
};

template <class T>
struct ProgramSum {
  std::ptrdiff_t width, place;
  std::ptrdiff_t stride;  // between rows: those of all sums lie one after the other
  T* array;
};

template <class T>
struct ProgramResult {
  std::ptrdiff_t width;
  bool has_zeros;  // where it is masked; elsewhere nobody reads it there
  T* array;
};

template <class T>
struct Program {
  std::ptrdiff_t steps, batch;
  std::ptrdiff_t rows, block;  // the most rows in a part, and in a block between products
  bool reverse, is_backward;
  const bool *mask, *resets;  // (T, B), or null
  int num_states, num_sums, num_results, num_buffers, num_instructions;
  const ProgramState<T>* states;
  const ProgramSum<T>* sums;        // (B, width)
  const ProgramResult<T>* results;  // (T, B, width)
  const ProgramBuffer<T>* buffers;
  const ProgramMatrix<T>* matrices;
  const Instruction* instructions;
  std::ptrdiff_t num_projections, chunk;  // and the steps for which they are made at a time
  const ProgramProjection<T>* projections;
  std::ptrdiff_t local_size, wide_size, state_size, sum_size;  // numbers for each row
  std::ptrdiff_t staged_size;  // likewise, of all sequences
};

template <class T>
struct ProgramPart {
  std::ptrdiff_t begin, end;
  const std::ptrdiff_t* order;  // the rows in the order of the parts; null where they are in order
  T* scratch;
  std::ptrdiff_t* numbers;  // for the rows of a chunk
};

}  // namespace jaxrnn
