// One image under one rotation, forward and backward. For sums.cpp alone.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "sums.hpp"
#include "sums_kernels.hpp"

namespace lutra {

// What a call has ready for all its images.
struct SumsTables {
    AlignedArray<std::uint8_t> bytes;  // [output][input][64], plus 128
    AlignedArray<float> slopes;        // in the order of the backward kernels
};

// Where the pixels of an own (depthwise) layer's windows lie: groups of up to four runs of up to four taps in a row.
struct Window {
    struct Group {
        std::pair<int, int> run[4];  // (row, column) of each run's last tap
        int tap[kSumLanes];          // the tap of a lane; -1: none
    };
    std::vector<Group> groups;
    static Window of(const std::vector<std::pair<int, int>>& taps);
};

// Numbers of a layer's gradient in the backward kernels' order, and where one of them stands.
std::ptrdiff_t kernel_size(const SumsLayer& layer, const SumsStep& step);
std::ptrdiff_t kernel_place(const SumsLayer& layer, const Window& window, int input, int output, int row);

class SumsRun {
  public:
    SumsRun(const SumsNet& net, const SumsKernels& kernels);

    // Adds the outputs of one rotation to out, (colours, scale * height, scale * width).
    void forward(const std::uint8_t* image, int height, int width, int rotation, const std::vector<SumsTables>& tables,
                 float* out, bool keeps);
    // After forward with `keeps`: adds to the layers' gradients, in the kernels' order.
    void backward(int height, int width, int rotation, const std::vector<SumsTables>& tables, const float* gradient,
                  const std::vector<float*>& table_gradients);

  private:
    struct Stack {
        AlignedArray<std::int8_t> values;
        AlignedArray<std::uint8_t> passed;
    };

    std::int8_t* plane(int number, int channel);
    const std::int8_t* read(const SumsStep& step, int input, int output);  // what a layer's output sums up
    float* gradient(int number);  // of a plane's first channel; zero when it is new
    void release(int number);
    void turned_image(const std::uint8_t* image, int rotation);
    void split(const SumsStep& step);
    void sum(const SumsStep& step, const std::vector<SumsTables>& tables, bool keeps);
    void shift(const SumsStep& step);
    void extend(int number);
    void merge(int rotation, float* out);
    std::ptrdiff_t out_size() const;  // of a colour
    void merge_back(int rotation, const float* out);
    void fold(int number);
    void sum_back(const SumsStep& step, const std::vector<SumsTables>& tables, const std::vector<float*>& to);
    void dense_back(const SumsStep& step, const SumsTables& tables, const float* from, float* to);
    void own_back(const SumsStep& step, const SumsTables& tables, const float* from, float* to);
    void shift_back(const SumsStep& step);

    const SumsNet& net_;
    const SumsKernels& kernels_;
    SumsExtent extent_;
    std::vector<Window> windows_;  // by layer; of depthwise ones over several channels
    std::vector<Stack> stacks_;    // by plane
    std::vector<int> held_;        // the gradient buffer of a plane; -1: none
    std::vector<std::unique_ptr<AlignedArray<float>>> buffers_;
    std::vector<int> free_;
    AlignedArray<std::uint8_t> image_;
    std::vector<const std::int8_t*> read_, added_;
    std::vector<std::int8_t*> out_;
    std::vector<std::uint8_t*> passed_;
};

}  // namespace lutra
