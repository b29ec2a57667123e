// Kernels for processors with AVX2. Everything here is a template over Avx2 or local to this file: the linker
// must not share these functions with code for other processors.
#include "avx2.hpp"
#include "picks_avx2.hpp"
#include "reals_avx2.hpp"
#include "resample_vector.hpp"
#include "sample_vector.hpp"
#include "vector.hpp"
#include "vectors_avx2.hpp"
#ifndef LUTRA_RUNTIME
#include "ensemble_avx2.hpp"
#include "resample_means.hpp"
#include "sums_avx2.hpp"
#endif

namespace lutra {

void Avx2::sample(const std::uint8_t* const* lines, const Unit& unit, int tap_bits, int rotation, int x,
                  Scratch& scratch, std::uint16_t (*taps)[kChunk]) {
    sample_pairs<Avx2>(lines, unit, tap_bits, rotation, x, scratch, taps);
}

#ifndef LUTRA_RUNTIME
const EnsembleKernels<float> avx2_ensemble = ensemble_kernels<Avx2Floats, float>;
const SumsKernels avx2_sums = sums_kernels<Avx2Sums>;
const MeansKernels avx2_means{resample_means<Avx2>, resample_slopes<Avx2>};
#endif
const Kernels avx2_kernels{
    "avx2",
    true,
    run_vector<Avx2, Avx2Picks>,
    split_line<Avx2>,
    join_line<Avx2>,
    LUTRA_TRAINING(avx2_ensemble),
    LUTRA_TRAINING(avx2_sums),
    {Form::rows, run_sum_avx2<Avx2>, merge_words<Avx2Bytes, Avx2>, split_bits<Avx2>},
    {resample_line<Avx2>, resample_row_vector<Reals256>, resample_points<Avx2>},
    LUTRA_TRAINING(avx2_means),
};

}  // namespace lutra
