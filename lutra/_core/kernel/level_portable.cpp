// Kernels in plain C++, for any processor; compilers make vector code of their loops.
#include "lines.hpp"
#include "plain.hpp"
#include "sample_plain.hpp"

namespace lutra {

struct Portable {
    static void sample(const std::uint8_t* const* lines, const Unit& unit, int tap_bits, int rotation, int x, Scratch&,
                       std::uint16_t (*taps)[kChunk]) {
        sample_plain(lines, unit, tap_bits, rotation, x, taps);
    }
};

const Kernels portable_kernels{"portable", false, run_plain<Portable>, split_line<Portable>, join_line<Portable>};

}  // namespace lutra
