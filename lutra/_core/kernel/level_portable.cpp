// Kernels in plain C++, for any processor; compilers make vector code of their loops.
#include "lines.hpp"
#include "plain.hpp"
#include "resample_plain.hpp"
#include "sample_plain.hpp"
#include "vectors_plain.hpp"
#ifndef LUTRA_RUNTIME
#include "ensemble.hpp"
#include "resample_means.hpp"
#include "sums.hpp"
#endif

namespace lutra {

struct Portable {
    static void sample(const std::uint8_t* const* lines, const Unit& unit, int tap_bits, int rotation, int x, Scratch&,
                       std::uint16_t (*taps)[kChunk]) {
        sample_plain(lines, unit, tap_bits, rotation, x, taps);
    }
};

#ifndef LUTRA_RUNTIME
const EnsembleKernels<float> portable_ensemble = ensemble_kernels<Portable, float>;
const EnsembleKernels<double> portable_ensemble_double = ensemble_kernels<Portable, double>;
const SumsKernels portable_sums = sums_kernels<PlainSums<Portable>>;
const MeansKernels portable_means{resample_means<Portable>, resample_slopes<Portable>};
#endif
const Kernels portable_kernels{
    "portable",
    false,
    run_plain<Portable>,
    split_line<Portable>,
    join_line<Portable>,
    LUTRA_TRAINING(portable_ensemble),
    LUTRA_TRAINING(portable_sums),
    {Form::plain, run_sum_plain<Portable>, merge_plain<Portable>, split_bits<Portable>},
    {resample_line<Portable>, resample_row<Portable>, resample_points<Portable>},
    LUTRA_TRAINING(portable_means),
};

}  // namespace lutra
