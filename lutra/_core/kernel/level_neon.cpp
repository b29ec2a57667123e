// Kernels for 64-bit ARM processors, all of which have NEON. Everything here is a template over Neon or local to this
// file, as in the other levels.
#include "lines.hpp"
#include "neon.hpp"
#include "picks_neon.hpp"
#include "resample_plain.hpp"
#include "vector.hpp"
#include "vectors_neon.hpp"
#ifndef LUTRA_RUNTIME
#include "ensemble.hpp"
#include "resample_means.hpp"
#include "sums_neon.hpp"
#endif

namespace lutra {

#ifndef LUTRA_RUNTIME
const EnsembleKernels<float> neon_ensemble = ensemble_kernels<Neon, float>;
const SumsKernels neon_sums = sums_kernels<NeonSums>;
const MeansKernels neon_means{resample_means<Neon>, resample_slopes<Neon>};
#endif
const Kernels neon_kernels{
    "neon",
    true,
    run_vector<Neon, NeonPicks>,
    split_line<Neon>,
    join_line<Neon>,
    LUTRA_TRAINING(neon_ensemble),
    LUTRA_TRAINING(neon_sums),
    {Form::words, run_sum_words<Neon, NeonBytes>, merge_words<NeonBytes, Neon>, split_bits<Neon>},
    {resample_line<Neon>, resample_row<Neon>, resample_points<Neon>},
    LUTRA_TRAINING(neon_means),
};

}  // namespace lutra
