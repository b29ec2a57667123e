// Reads the little-endian numbers of a plan file, wherever they lie in memory, and nothing beyond its end.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace lutra {

inline void require_file(bool condition, const char* what) {
    if (!condition) throw std::invalid_argument(std::string("plan file: ") + what);
}

inline bool to_flag(int number) {
    require_file(number == 0 || number == 1, "a flag that is neither 0 nor 1");
    return number == 1;
}

class Cursor {
  public:
    static constexpr int kMostNumber = 1 << 24;  // so that sums of a few numbers cannot overflow

    Cursor(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}

    std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }

    const std::uint8_t* bytes(std::size_t count) {
        require_file(count <= left(), "it ends too early");
        return std::exchange(at_, at_ + count);
    }

    std::uint32_t word() {
        const std::uint8_t* b = bytes(4);
        return b[0] | std::uint32_t{b[1]} << 8 | std::uint32_t{b[2]} << 16 | std::uint32_t{b[3]} << 24;
    }

    int number() {
        const auto value = static_cast<std::int32_t>(word());
        require_file(value >= -kMostNumber && value <= kMostNumber, "a number out of range");
        return value;
    }

    std::size_t count() {
        const int value = number();
        require_file(value >= 0, "a count below zero");
        return static_cast<std::size_t>(value);
    }

    bool flag() { return to_flag(number()); }

    template <std::size_t size>
    std::array<int, size> numbers() {
        std::array<int, size> values;
        for (int& value : values) value = number();
        return values;
    }

    std::vector<int> numbers(std::size_t count) {
        require_file(count <= left() / 4, "it ends too early");
        std::vector<int> values(count);
        for (int& value : values) value = number();
        return values;
    }

    // Numbers of 8 and 16 bits; they end at a multiple of four bytes.
    const std::int8_t* small(std::size_t count) {
        const auto* values = reinterpret_cast<const std::int8_t*>(bytes(count));
        pad(count);
        return values;
    }

    std::vector<std::int16_t> shorts(std::size_t count) {
        require_file(count <= left() / 2, "it ends too early");
        std::vector<std::int16_t> values(count);
        const std::uint8_t* b = bytes(2 * count);
        for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<std::int16_t>(b[2 * i] | b[2 * i + 1] << 8);
        pad(2 * count);
        return values;
    }

    // Real numbers, each of which lies in lowest..highest.
    void reals(double* values, std::size_t count, double lowest, double highest) {
        for (std::size_t i = 0; i < count; ++i) {
            const std::uint64_t low = word(), high = word();
            values[i] = __builtin_bit_cast(double, high << 32 | low);
            require_file(values[i] >= lowest && values[i] <= highest, "a real number out of range");
        }
    }

  private:
    void pad(std::size_t size) {
        const std::size_t rest = (4 - size % 4) % 4;
        const std::uint8_t* padding = bytes(rest);
        for (std::size_t i = 0; i < rest; ++i) require_file(padding[i] == 0, "bytes between arrays that are not zero");
    }

    const std::uint8_t* at_;
    const std::uint8_t* end_;
};

}  // namespace lutra
