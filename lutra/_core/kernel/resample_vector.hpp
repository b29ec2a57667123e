// Rows of a resampled image with vector instructions, in the operations and the order of resample_plain.hpp. A level
// gives the vectors of doubles: Reals512 or Reals256.
#pragma once

#include <cstring>

#include "resample_plain.hpp"

namespace lutra {

template <class V>
struct VectorWeights {
    using Reals = typename V::Reals;
    typename V::Powers powers;
    Reals polynomial[5];

    explicit VectorWeights(const KernelNumbers& numbers) : powers(V::powers_of(numbers)) {
        for (int term = 0; term < 5; ++term) polynomial[term] = V::same(numbers.polynomial[term]);
    }

    Reals operator()(Reals steps) const {
        const Reals magic = V::same(0x1.8p52), shifted = V::add(steps, magic);
        const Reals rest = V::sub(steps, V::sub(shifted, magic));
        Reals power = polynomial[4];
        for (int term = 3; term >= 0; --term) power = V::add(V::mul(power, rest), polynomial[term]);
        return V::scaled(V::mul(power, V::power(powers, shifted)), shifted);
    }
};

template <class V, bool near>
void resample_group(const RowCall& call, int x, const typename V::Window& window, const VectorWeights<V>& weights) {
    using Reals = typename V::Reals;
    Reals total = V::same(0), weight = total;
    const Reals distance = V::load(call.distance + x);
    for (int right = 0; right < 2; ++right) {
        const int at = call.first[x] + right;
        const Reals across = right ? V::sub(distance, V::same(1)) : distance;
        for (int below = 0; below < 2; ++below) {
            const auto take = [&](const double* from) { return V::template taken<near>(from + at, window); };
            const Reals curve = V::mul(across, take(call.lines[below].curve_columns));
            const Reals slope = V::mul(across, V::add(take(call.linear[below]), curve));
            const Reals own = weights(V::add(take(call.constant[below]), slope));
            total = V::add(total, V::mul(own, take(call.lines[below].pixel)));
            weight = V::add(weight, own);
        }
    }
    V::store(call.out + x, V::div(total, weight));
}

template <class V>
void resample_row_vector(const RowCall& call) {
    prepare_terms<V>(call);
    const VectorWeights<V> weights(*call.numbers);
    for (int x = 0; x < call.count; x += V::lanes) {
        const typename V::Window window(call.first + x);
        if (window.near)
            resample_group<V, true>(call, x, window, weights);
        else
            resample_group<V, false>(call, x, window, weights);
    }
}

}  // namespace lutra
