// A step of a model as training needs it: sums of lookups over units and rotations, and their gradients.
// Tables and planes are floating point, and are passed with every call.
#pragma once

#include <string>
#include <vector>

#include "plan.hpp"
#include "process.hpp"

namespace lutra {

template <class T>
struct EnsembleScratch {
    alignas(64) T taps[4][kChunk];
    alignas(64) T current[4][kChunk];  // of AdaRL: taps before the mixture
    alignas(64) T before[4][kChunk];
    alignas(64) std::uint32_t place[5][kChunk];  // [vertex]: the vertex's row
    alignas(64) T weight[5][kChunk];
    alignas(64) std::uint32_t axis[4][kChunk];  // along which the walk leaves each vertex
    alignas(64) T scale[kChunk];                // cells a level
    alignas(64) T slope[4][kChunk];             // gradient of the taps
    alignas(64) T sum[64 * kChunk];
    // Gradients of sampling weights, of one row, in lanes that are added up at its end; zero between rows.
    alignas(64) T sampling[4 * kMaxReach * kMaxReach][kLanes];
};

// One unit in one call. What is null is absent, or not asked for.
template <class T>
struct EnsembleUnit {
    const Unit* unit = nullptr;
    const T* nodes = nullptr;    // rows of `values` numbers, in the kernels' order
    const T* weights = nullptr;  // of sampled taps: [tap][row][column]
    const T* shares = nullptr;   // of the previous plane's taps
    T* node_gradient = nullptr;
    double* weight_gradient = nullptr;
    double* share_gradient = nullptr;
    T* read_gradient[5] = {};  // of the planes read, at the row's first pixel; the previous plane's is the last
    bool slopes = false;       // whether anything but the nodes wants a gradient
};

// A row of pixels: lines[plane] points at its first one, in a plane with borders and rows `stride` apart.
template <class T>
struct EnsembleRow {
    const Step* step = nullptr;
    const T* const* lines = nullptr;
    std::ptrdiff_t stride = 0;
    int count = 0;
};

// Consecutive rows of a table in the kernels' order.
struct NodeRange {
    std::uint32_t first = 0, size = 0;

    bool holds(std::uint32_t row) const { return row - first < size; }
};

template <class T>
struct EnsembleKernels {
    // out: count x values.
    void (*forward)(const EnsembleRow<T>&, const std::vector<EnsembleUnit<T>>&, T* out, EnsembleScratch<T>&);
    // All gradients that the unit has room for.
    void (*backward)(const EnsembleRow<T>&, const EnsembleUnit<T>&, const T* gradient, EnsembleScratch<T>&);
    // The gradients of the nodes in the range alone: for each node the same terms in the same order.
    void (*backward_within)(const EnsembleRow<T>&, const EnsembleUnit<T>&, const NodeRange&, const T* gradient,
                            EnsembleScratch<T>&);
    // Adds to counts[row >> shift] how often the pixels' lookups touch a row of the table.
    void (*count)(const EnsembleRow<T>&, const EnsembleUnit<T>&, int shift, std::uint32_t* counts,
                  EnsembleScratch<T>&);
};

extern const EnsembleKernels<float> portable_ensemble;
extern const EnsembleKernels<double> portable_ensemble_double;
#ifdef LUTRA_X86
extern const EnsembleKernels<float> avx2_ensemble;
extern const EnsembleKernels<float> avx512_ensemble;
#endif

// Images side by side: [image][row][column], or with as many numbers a pixel as an entry has.
struct Extent {
    std::int64_t images, height, width;
};

// What a call reads: everything by unit, in order, but the planes.
template <class T>
struct EnsembleInput {
    Extent extent;
    std::vector<const T*> planes, tables, weights, shares;
};

// Where a call puts gradients; null where nobody asks. They replace what is there.
template <class T>
struct EnsembleGradient {
    std::vector<T*> planes, tables, weights, shares;
};

// How the work of a backward pass is divided. `parts` decides the order of sums and depends on the step and the batch
// alone; the others depend on the threads and change no result.
struct Cut {
    int parts = 1;   // of the batch; each has sums of its own for every table, which are added up in order
    int ranges = 1;  // of a table's rows, summed by different threads; 1: a task computes all gradients of a part
    int bands = 1;   // of an image's rows, for the gradients of planes, weights and shares where there are ranges
};

template <class T>
class Ensemble {
  public:
    // A step with its units, without tables; `reflect`: how planes continue beyond their border; `level`: as for
    // Engine, where there is one for T.
    Ensemble(Step step, int planes, bool reflect, const std::string& level);
    ~Ensemble();
    const Step& step() const { return step_; }
    int planes() const { return planes_; }
    std::int64_t entries(int unit) const { return static_cast<std::int64_t>(placements_[unit].row.size()); }

    // out: extent x values. Neither results nor gradients depend on `threads`.
    void forward(const EnsembleInput<T>& input, T* out, int threads);
    void backward(const EnsembleInput<T>& input, const T* gradient, const EnsembleGradient<T>& wanted, int threads);
    // `planes`: whether a plane's gradient is wanted.
    Cut cut(const Extent& extent, bool planes, int threads) const;

  private:
    // A call's planes with borders, and tables in the kernels' order.
    struct Ready;
    class Backward;
    void prepare(const EnsembleInput<T>& input, int threads, Ready& ready) const;
    void prepare_planes(const EnsembleInput<T>& input, int threads, Ready& ready) const;
    void prepare_tables(const EnsembleInput<T>& input, int threads, Ready& ready) const;
    EnsembleRow<T> row(const Ready& ready, std::int64_t number, std::vector<const T*>& lines) const;

    Step step_;
    int planes_;
    bool reflect_;
    const EnsembleKernels<T>* kernels_;
    std::vector<Placement> placements_;
    PerProcess<Ready> ready_;  // kept from call to call
};

}  // namespace lutra
