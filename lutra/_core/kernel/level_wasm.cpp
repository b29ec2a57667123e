// Kernels for WebAssembly, all of which have its vectors (SIMD128). There is one level, so that it is chosen when the
// core is built. Nothing here resamples at points anywhere, which only Python does.
#include "lines_wasm.hpp"
#include "picks_wasm.hpp"
#include "reals_wasm.hpp"
#include "resample_vector.hpp"
#include "vector.hpp"
#include "vectors_rows_wasm.hpp"
#include "wasm.hpp"

namespace lutra {

const Kernels wasm_kernels{
    "wasm",
    true,
    run_vector<Wasm, WasmPicks>,
    split_line_wasm,
    join_line_wasm,
    nullptr,
    nullptr,
    {Form::rows, run_sum_wasm, merge_words<WasmBytes, Wasm>, split_bits<Wasm>},
    {resample_line<Wasm>, resample_row_vector<Reals128>, nullptr},
    nullptr,
};

}  // namespace lutra
