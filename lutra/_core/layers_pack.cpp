// Layers in the forms that kernels read; see Form.
#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "layers.hpp"

namespace lutra {
namespace {

// Entries by index, in multiples of 1 / denominator: one table for every lookup of an output.
class Terms {
  public:
    Terms(const Layer& layer, int combined, int bits)
        : count_((layer.inputs + combined - 1) / combined), entries_(std::size_t(count_) * layer.outputs) {
        for (int input = 0; input < layer.inputs; ++input)
            for (int output = 0; output < layer.outputs; ++output) {
                auto& table = entries_[output * count_ + input / combined];
                const int place = input % combined * bits;
                for (int index = 0; index < kLevels; ++index) {
                    const int value = combined > 1 ? index >> place & ((1 << bits) - 1) : index;
                    const int level = (value - layer.low) & (kLevels - 1);
                    if (level < layer.levels) table[index] += layer.entry(input, output, level);
                }
            }
    }

    int count() const { return count_; }
    const std::array<int, kLevels>& table(int output, int term) const { return entries_[output * count_ + term]; }

  private:
    int count_;
    std::vector<std::array<int, kLevels>> entries_;
};

int floor_divide(int value, int by) { return value >= 0 ? value / by : -((by - 1 - value) / by); }

int round_divide(int value, int by) {
    const int quotient = floor_divide(value, by), twice = 2 * (value - quotient * by);
    return quotient + (twice > by || (twice == by && quotient % 2 != 0));
}

int power_of_two(int number) {  // its exponent, or -1
    for (int bits = 0; bits < 16; ++bits)
        if (number == 1 << bits) return bits;
    return -1;
}

int least(const std::array<int, kLevels>& table) { return *std::min_element(table.begin(), table.end()); }
int most(const std::array<int, kLevels>& table) { return *std::max_element(table.begin(), table.end()); }

bool quotients_fit(const Layer& layer, const Terms& terms) {
    for (int output = 0; output < layer.outputs; ++output) {
        int low = 0, high = 0;
        for (int term = 0; term < terms.count(); ++term) {
            low += least(terms.table(output, term));
            high += most(terms.table(output, term));
        }
        const int divisor = layer.divisor * layer.denominator;
        if (round_divide(low, divisor) < -128 || round_divide(high, divisor) > 127) return false;
    }
    return true;
}

// Terms of small ranges first, as many to a group as fit a byte.
Groups group(const std::vector<std::array<int, kLevels>>& tables, std::vector<std::uint8_t>& bytes) {
    std::vector<std::uint16_t> order(tables.size());
    std::iota(order.begin(), order.end(), std::uint16_t{0});
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return most(tables[a]) < most(tables[b]); });
    Groups groups;
    groups.tables = bytes.size();
    int sum = 256;
    for (const std::uint16_t term : order) {
        const int range = most(tables[term]);
        if (range == 0) continue;
        if (sum + range > 255 || groups.sizes.back() == 255) {
            groups.sizes.push_back(0);
            sum = 0;
        }
        sum += range;
        ++groups.sizes.back();
        groups.terms.push_back(term);
        for (const int entry : tables[term]) bytes.push_back(static_cast<std::uint8_t>(entry));
    }
    return groups;
}

// How 16-bit words up to `largest` are divided; false where no multiplication does it.
bool set_division(int divisor, int largest, Packed& packed) {
    packed.magic = 0;
    packed.shift = power_of_two(divisor);
    if (packed.shift >= 0) return true;
    for (packed.shift = 0; packed.shift < 16; ++packed.shift) {
        const std::int64_t magic = (std::int64_t{65536} << packed.shift) / divisor + 1;
        if (magic > 65535) return false;
        bool exact = true;
        for (int x = divisor - 1; x <= largest && exact; ++x)
            exact = static_cast<int>(x * magic >> 16 >> packed.shift) == x / divisor;
        packed.magic = static_cast<int>(magic);
        if (exact) return true;
    }
    return false;
}

// entry - least is a byte. False where the divisor is not one that kernels round by.
bool pack_carries(const Layer& layer, const Terms& terms, bool cuts, Packed& packed) {
    const int bits = power_of_two(layer.divisor);
    if (layer.denominator != 1 || layer.divisor > 255) return false;
    if (layer.divisor % 2 == 0 && (bits < 0 || bits > 4 || !packed.fits)) return false;
    if (!packed.fits && !cuts) return false;
    packed.tables = AlignedArray<std::uint8_t>(std::size_t(layer.outputs) * terms.count() * kLevels);
    packed.ranges.clear();
    std::uint8_t* bytes = packed.tables.data();
    int largest = 0;
    for (int output = 0; output < layer.outputs; ++output) {
        auto& [first, whole, high, fractions] = packed.outputs[output];
        int least_sum = 0, sum = 0;
        for (int term = 0; term < terms.count(); ++term, bytes += kLevels) {
            const auto& table = terms.table(output, term);
            const int lowest = least(table), range = most(table) - lowest;
            if (range > 255) return false;
            for (int index = 0; index < kLevels; ++index)
                bytes[index] = static_cast<std::uint8_t>(table[index] - lowest);
            packed.ranges.push_back(static_cast<std::uint8_t>(range));
            least_sum += lowest;
            sum += range;
        }
        whole = floor_divide(least_sum, layer.divisor);
        first = least_sum - whole * layer.divisor + layer.divisor / 2;  // with what rounding adds
        if (first > 255 || std::abs(whole) > 30000) return false;
        largest = std::max(largest, first + sum);
    }
    if (largest > 65535 || !set_division(layer.divisor, largest, packed)) return false;
    return layer.divisor % 2 == 0 || packed.shift == 0;
}

// entry = whole + fraction, whole - least is a byte. False where a sum may leave 16 bits.
bool pack_words(const Layer& layer, const Terms& terms, Packed& packed) {
    const int denominator = layer.denominator;
    packed.fraction_bits = power_of_two(denominator);
    if (packed.fraction_bits < 0 || packed.fraction_bits > 6) return false;
    std::vector<std::uint8_t> bytes;
    int largest = 0;
    for (int output = 0; output < layer.outputs; ++output) {
        std::vector<std::array<int, kLevels>> wholes(terms.count()), fractions(terms.count());
        int least_sum = 0, sum = 0, fraction_sum = denominator;
        for (int term = 0; term < terms.count(); ++term) {
            const auto& table = terms.table(output, term);
            const int lowest = floor_divide(least(table), denominator);
            for (int index = 0; index < kLevels; ++index) {
                const int whole = floor_divide(table[index], denominator);
                wholes[term][index] = whole - lowest;
                fractions[term][index] = table[index] - whole * denominator;
            }
            if (most(wholes[term]) > 255) return false;
            least_sum += lowest;
            sum += most(wholes[term]);
            fraction_sum += most(fractions[term]);
        }
        auto& [first, whole, high, parts] = packed.outputs[output];
        whole = floor_divide(least_sum, layer.divisor);
        first = least_sum - whole * layer.divisor;
        high = group(wholes, bytes);
        parts = group(fractions, bytes);
        largest = std::max(largest, sum + first + fraction_sum / denominator + layer.divisor);
        // Quotients have room in 16 bits for added planes.
        if (fraction_sum > 65535 || std::abs(whole) + largest / layer.divisor > 30000) return false;
    }
    if (largest > 32767 || !set_division(layer.divisor, largest, packed)) return false;
    packed.tables = AlignedArray<std::uint8_t>(std::max<std::size_t>(bytes.size(), kLevels));
    std::copy(bytes.begin(), bytes.end(), packed.tables.data());
    return true;
}

// Entries by the value that indexes them; returns the largest size of a sum.
int pack_plain(const Layer& layer, Packed& packed) {
    packed.width = layer.shared && layer.outputs >= 4 ? (layer.outputs + 15) / 16 * 16 : 0;
    packed.rows =
        AlignedArray<std::int16_t>(std::size_t(layer.inputs) * kLevels * (packed.width ? packed.width : layer.outputs));
    int largest = 0;
    for (int output = 0; output < layer.outputs; ++output) {
        int sum = 0;
        for (int input = 0; input < layer.inputs; ++input) {
            int range = 0;
            for (int level = 0; level < layer.levels; ++level) {
                const int entry = layer.entry(input, output, level), index = (layer.low + level) & (kLevels - 1);
                const int place = packed.width ? (input * kLevels + index) * packed.width + output
                                               : (output * layer.inputs + input) * kLevels + index;
                packed.rows.data()[place] = static_cast<std::int16_t>(entry);
                range = std::max(range, std::abs(entry));
            }
            sum += range;
        }
        largest = std::max(largest, sum);
    }
    packed.short_sums = largest <= 32767;
    return largest;
}

// Sums start so that they are positive, and end with half of what they are divided by added.
bool pack_rows(const Layer& layer, Packed& packed) {
    const int divisor = layer.divisor * layer.denominator, largest = pack_plain(layer, packed);
    const int whole = (largest + divisor - 1) / divisor, start = whole * divisor + divisor / 2;
    if (!packed.width || !packed.fits || start + largest > 65535 || whole > 32767) return false;
    if (!set_division(divisor, start + largest, packed)) return false;
    packed.starts = AlignedArray<std::int16_t>(2);
    packed.starts.data()[0] = static_cast<std::int16_t>(static_cast<std::uint16_t>(start));
    packed.starts.data()[1] = static_cast<std::int16_t>(whole);
    return true;
}

void combine(const Layer& layer, Packed& packed) {
    packed.combined = 1;
    packed.bits = 6;
    if (!layer.shared || layer.low != 0 || layer.levels > 8) return;
    packed.bits = 1;
    while (1 << packed.bits < layer.levels) ++packed.bits;
    packed.combined = 6 / packed.bits;
}

}  // namespace

Packed pack(const Layer& layer, Form best, bool saturates, bool cuts) {
    const Terms single(layer, 1, 6);
    Packed packed;
    packed.outputs.resize(layer.outputs);
    packed.fits = quotients_fit(layer, single);
    const auto in_form = [&](Form form) {
        packed.form = form;
        return std::move(packed);
    };
    if (best >= Form::carries && saturates) {
        const auto packs = [&](const Terms& terms) {
            packed.terms = terms.count();
            return (packed.terms <= kMostIndices || !layer.shared) && pack_carries(layer, terms, cuts, packed);
        };
        combine(layer, packed);
        if (packed.combined > 1 && packs({layer, packed.combined, packed.bits})) return in_form(Form::carries);
        packed.combined = 1;  // sums of several entries may leave a byte
        if (packs(single)) return in_form(Form::carries);
    }
    packed.combined = 1;
    packed.terms = layer.inputs;
    packed.narrow = layer.low >= 0 && layer.low + layer.levels <= 16;
    const bool few = packed.terms <= kMostIndices;
    if (best >= Form::rows && few && saturates && pack_rows(layer, packed)) return in_form(Form::rows);
    if (best >= Form::words && few && pack_words(layer, single, packed)) return in_form(Form::words);
    pack_plain(layer, packed);
    return in_form(Form::plain);
}

}  // namespace lutra
