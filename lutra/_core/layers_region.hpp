// Restores a rectangle of an image by layers: all operations, row by row, as Workspace does it for steps.
#pragma once

#include <utility>
#include <vector>

#include "program.hpp"

namespace lutra {

class LayerWorkspace final : public Worker {
  public:
    LayerWorkspace(const LayerPlan& plan, int channels, int width);  // for rectangles of at most that width
    bool fits(int channels, int width) const override { return channels == channels_ && width <= width_; }
    void restore(const Kernels& kernels, const Image& input, const Image& output, const Rectangle& wanted,
                 Watch& watch) override;

  private:
    struct Columns {
        int begin, end;
    };
    // Where the sources of an operation lie.
    struct Reading {
        struct Line {
            int plane, row;
        };
        std::vector<Line> lines;
        std::vector<Place> inputs, adds;
        std::vector<int> window;  // see LayerCall
    };

    Reading reading(const Operation& operation) const;
    Columns columns(int margin) const;
    // `channel`: of the image; of images of colours that are restored together, always 0.
    std::uint8_t* line(int plane, int row, int channel) const;  // at the wanted rectangle's first column
    void read_row(int row);
    // Runs the rows of a block, from `row` on, of an operation and those of its chain that follow; returns the next.
    std::size_t run_chain(std::size_t first, int row, int channel);
    void run(std::size_t number, int row, int rows, int channel);
    void extend(int plane, int row, int channel, Columns filled) const;
    void write_rows(int row);
    // The rows of `row` .. `row` + `rows` - 1 that are needed, with a margin around the wanted rectangle.
    std::pair<int, int> needed(int row, int rows, int margin) const;
    std::uint8_t* output_line(int row, int channel) const;

    const LayerPlan& plan_;
    int channels_, colours_, apart_, width_, margin_;  // apart: channels that are restored on their own
    std::ptrdiff_t stride_, out_stride_;
    std::vector<AlignedArray<std::uint8_t>> planes_;
    AlignedArray<std::uint8_t> out_;
    std::vector<Reading> readings_;
    std::vector<const std::uint8_t*> lines_;
    std::unique_ptr<LayerScratch> scratch_;
    const Kernels* kernels_ = nullptr;
    Image input_{}, output_{};
    Rectangle wanted_{};
};

// A model of layers, run by LayerWorkspaces.
class LayerProgram final : public Program {
  public:
    explicit LayerProgram(LayerPlan plan) : plan_(std::move(plan)) {}
    int scale() const override { return plan_.scale; }
    int colours() const override { return plan_.planes[0].channels; }
    int margin() const override { return plan_.planes[0].margin; }
    void prepare(const Kernels& kernels) override { plan_.pack_layers(kernels.layers.best); }
    std::unique_ptr<Worker> worker(int channels, int width) const override {
        return std::make_unique<LayerWorkspace>(plan_, channels, width);
    }

  private:
    LayerPlan plan_;
};

}  // namespace lutra
