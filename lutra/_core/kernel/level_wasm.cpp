// Kernels for WebAssembly, all of which have its vectors (SIMD128). There is one level, so that it is chosen when the
// core is built. A plan file holds no model of any size: nothing here resamples.
#include "lines.hpp"
#include "picks_wasm.hpp"
#include "vector.hpp"
#include "vectors_rows_wasm.hpp"
#include "wasm.hpp"

namespace lutra {

const Kernels wasm_kernels{
    "wasm",
    true,
    run_vector<Wasm, WasmPicks>,
    split_line<Wasm>,
    join_line<Wasm>,
    nullptr,
    nullptr,
    {Form::rows, run_sum_wasm, merge_words<WasmBytes, Wasm>, split_bits<Wasm>},
    {},
    nullptr,
};

}  // namespace lutra
