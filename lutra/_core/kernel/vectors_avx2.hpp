// Layers with AVX2: a table of 64 bytes is four registers of 16 bytes twice; two bits of the index choose between
// their lookups.
#pragma once

#include <immintrin.h>

#include "vectors_rows.hpp"
#include "vectors_words.hpp"

namespace lutra {

struct Avx2Bytes {
    static constexpr int kBytes = 32, kVectors = 3;
    typedef std::uint8_t Bytes __attribute__((vector_size(32)));
    typedef std::uint16_t Words __attribute__((vector_size(32)));
    typedef std::int16_t Signed __attribute__((vector_size(32)));

    // Bit 7 of `second` and `upper` is bit 4 and 5 of the index.
    struct Index {
        __m256i low, second, upper;
    };

    // Of two bytes the second where bit 7 of `which` is set. Compilers make two instructions of the intrinsic.
    static __m256i chosen(__m256i first, __m256i second, __m256i which) {
        __m256i result;
        asm("vpblendvb %3, %2, %1, %0" : "=x"(result) : "x"(first), "x"(second), "x"(which));
        return result;
    }

    template <bool narrow>
    struct Table {
        explicit Table(const std::uint8_t* table) {
            for (int i = 0; i < (narrow ? 1 : 4); ++i)
                quarters[i] =
                    _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table + 16 * i)));
        }
        Bytes look(const Index& index) const {
            const auto in = [&](int quarter) { return _mm256_shuffle_epi8(quarters[quarter], index.low); };
            if constexpr (narrow) return reinterpret_cast<Bytes>(in(0));
            const __m256i lower = chosen(in(0), in(1), index.second), upper = chosen(in(2), in(3), index.second);
            return reinterpret_cast<Bytes>(chosen(lower, upper, index.upper));
        }
        __m256i quarters[narrow ? 1 : 4];
    };

    static __m256i read(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
    static void write(void* to, __m256i bytes) { _mm256_storeu_si256(static_cast<__m256i*>(to), bytes); }
    static Bytes load(const void* from) { return reinterpret_cast<Bytes>(read(from)); }
    static void store(void* to, Bytes bytes) { write(to, reinterpret_cast<__m256i>(bytes)); }
    static Index index(const std::uint8_t* pixels) {
        const __m256i value = read(pixels);
        return {_mm256_and_si256(value, _mm256_set1_epi8(15)), _mm256_slli_epi16(value, 3),
                _mm256_slli_epi16(value, 2)};
    }
    static void prepare(const std::uint8_t* pixels, std::uint8_t* indices, int i) {
        const Index made = index(pixels);
        write(indices + i * 96, made.low);
        write(indices + i * 96 + 32, made.second);
        write(indices + i * 96 + 64, made.upper);
    }
    static Index prepared(const std::uint8_t* indices, int i) {
        return {read(indices + i * 96), read(indices + i * 96 + 32), read(indices + i * 96 + 64)};
    }

    static Words words(int value) { return reinterpret_cast<Words>(_mm256_set1_epi16(static_cast<short>(value))); }
    static Words multiply_high(Words a, Words b) {
        return reinterpret_cast<Words>(_mm256_mulhi_epu16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
    }
    static Bytes add_saturated(Bytes a, Bytes b) {
        return reinterpret_cast<Bytes>(_mm256_adds_epi8(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
    }
    static Bytes clip(Bytes bytes, int low, int high) {
        const __m256i most = _mm256_set1_epi8(static_cast<char>(high)),
                      least = _mm256_set1_epi8(static_cast<char>(low));
        return reinterpret_cast<Bytes>(_mm256_max_epi8(_mm256_min_epi8(reinterpret_cast<__m256i>(bytes), most), least));
    }
    static Signed clip_words(Signed words, std::int16_t low, std::int16_t high) {
        const __m256i most = _mm256_set1_epi16(high), least = _mm256_set1_epi16(low);
        return reinterpret_cast<Signed>(
            _mm256_max_epi16(_mm256_min_epi16(reinterpret_cast<__m256i>(words), most), least));
    }
};

template <class Simd>
void run_sum_avx2(const LayerCall& call) {
    if (call.layer && call.packed->form == Form::rows) return run_rows<Rows<Simd>>(call);
    run_sum_words<Simd, Avx2Bytes>(call);
}

}  // namespace lutra
