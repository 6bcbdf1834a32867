// The operations of a program, each on a few rows of numbers.
#pragma once

#include "normalizing.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

// In the order of Op, whose last is the product.
template <class T>
constexpr Operation<T> kOperations[] = {
    map<T, Copy<T>, 1>,      map<T, Negative<T>, 1>,    map<T, Absolute<T>, 1>,
    map<T, Sign<T>, 1>,      map<T, Exponent<T>, 1>,    map<T, Expm1<T>, 1>,
    map<T, Log<T>, 1>,       map<T, Log1p<T>, 1>,       map<T, Tanh<T>, 1>,
    map<T, Sigmoid<T>, 1>,   map<T, Root<T>, 1>,        map<T, InverseRoot<T>, 1>,
    map<T, Square<T>, 1>,    map<T, Not<T>, 1>,         map<T, Add<T>, 2>,
    map<T, Subtract<T>, 2>,  map<T, Times<T>, 2>,    map<T, Divide<T>, 2>,
    map<T, Maximum<T>, 2>,   map<T, Minimum<T>, 2>,     map<T, Equal<T>, 2>,
    map<T, NotEqual<T>, 2>,  map<T, Less<T>, 2>,        map<T, LessEqual<T>, 2>,
    map<T, And<T>, 2>,       map<T, Or<T>, 2>,          map<T, Select<T>, 3>,
    map<T, MultiplyAdd<T>, 3>,         map<T, MultiplySubtract<T>, 3>,
    map<T, SubtractProduct<T>, 3>,     map<T, OneMinusTimes<T>, 2>,
    map<T, Mix<T>, 3>,                 map<T, AddProducts<T>, 4>,
    map<T, TimesDifference<T>, 3>,     map<T, DifferenceTimes<T>, 3, 0b001>,
    map<T, AddTanh<T>, 2>,
    map<T, AddSigmoid<T>, 2>,          map<T, TanhSlope<T>, 2>,
    map<T, SigmoidSlope<T>, 2>,        map<T, TanhSlopeTimes<T>, 3>,
    map<T, SigmoidSlopeTimes<T>, 3>,   map<T, SigmoidSlopeDifference<T>, 4>,
    accumulate<T, Sum<T>, 1>,          accumulate<T, SumOfProducts<T>, 2>,
    reduce<T, Sum<T>, 1>,              reduce<T, Largest<T>, 1>,
    reduce<T, Smallest<T>, 1>,         reduce<T, SumOfProducts<T>, 2>,
    mean<T>,                           mean_and_scale<T>,
    normalize<T, Copy<T>, 2>,          normalize<T, Times<T>, 3>,
    normalize<T, MultiplyAdd<T>, 4>,   normalize_slope<T, 3>,
    normalize_slope<T, 4>,             normalize_slope<T, 5>,
};
static_assert(sizeof(kOperations<float>) / sizeof(Operation<float>) ==
              static_cast<std::size_t>(Op::kProduct));

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
