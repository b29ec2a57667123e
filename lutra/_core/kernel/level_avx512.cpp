// Kernels for processors with AVX-512 (VL, BW, DQ, VBMI, VNNI). Everything here is a template over Avx512 or local to
// this file: the linker must not share these functions with code for other processors.
#include "avx512.hpp"
#include "picks_avx512.hpp"
#include "reals_avx512.hpp"
#include "resample_vector.hpp"
#include "sample_vector.hpp"
#include "vector.hpp"
#include "vectors_window.hpp"
#ifndef LUTRA_RUNTIME
#include "ensemble_avx512.hpp"
#include "resample_means.hpp"
#include "sums_avx512.hpp"
#endif

namespace lutra {

void Avx512::sample(const std::uint8_t* const* lines, const Unit& unit, int tap_bits, int rotation, int x,
                    Scratch& scratch, std::uint16_t (*taps)[kChunk]) {
    sample_pairs<Avx512>(lines, unit, tap_bits, rotation, x, scratch, taps);
}

#ifndef LUTRA_RUNTIME
const EnsembleKernels<float> avx512_ensemble = ensemble_kernels<Avx512Floats, float>;
const SumsKernels avx512_sums = sums_kernels<Avx512Sums>;
const MeansKernels avx512_means{resample_means<Avx512>, resample_slopes<Avx512>};
#endif
const Kernels avx512_kernels{
    "avx512",
    true,
    run_vector<Avx512, Avx512Picks>,
    split_line<Avx512>,
    join_line<Avx512>,
    LUTRA_TRAINING(avx512_ensemble),
    LUTRA_TRAINING(avx512_sums),
    {Form::carries, run_sum_avx512<Avx512>, merge_words<Avx512Bytes, Avx512>, split_bits<Avx512>},
    {resample_line<Avx512>, resample_row_vector<Reals512>, resample_points<Avx512>},
    LUTRA_TRAINING(avx512_means),
};

}  // namespace lutra
