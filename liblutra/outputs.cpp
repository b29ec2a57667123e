// The size of a result, as lutra for Python has it.
#include <charconv>
#include <cstdint>

#include "model.hpp"

namespace {

__extension__ using Wide = unsigned __int128;

// A decimal number: digits times a power of ten.
struct Decimal {
    std::uint64_t digits = 0;
    int power = 0;

    // The shortest one that is read as `value`.
    explicit Decimal(double value) {
        char text[32];
        const char* end = std::to_chars(text, text + sizeof(text), value, std::chars_format::scientific).ptr;
        const char* at = text;
        for (bool fraction = false; *at != 'e'; ++at) {
            if (*at == '.') {
                fraction = true;
                continue;
            }
            digits = 10 * digits + (*at - '0');
            power -= fraction;
        }
        at += at[1] == '+' ? 2 : 1;
        int exponent = 0;
        std::from_chars(at, end, exponent);
        power += exponent;
    }
};

}  // namespace

int lutra_outputs(int size, double scale) {
    if (size < 1 || size > lutra::kMostSide || !(scale > 0 && scale <= lutra::kMostSide)) return 0;
    const Decimal factor(scale);
    Wide product = Wide{factor.digits} * static_cast<unsigned>(size);  // at most 26 digits
    for (int power = factor.power; power > 0; --power) product *= 10;  // at most 8
    bool rest = false;
    for (int power = factor.power; power < 0 && product > 0; ++power) {
        rest = rest || product % 10 != 0;
        product /= 10;
    }
    product += rest;
    return product <= lutra::kMostSide ? static_cast<int>(product) : 0;
}
