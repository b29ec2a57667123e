// Restores a rectangle of an image: all steps, row by row, through planes of which only the rows in use are kept.
#pragma once

#include "program.hpp"

namespace lutra {

class Workspace final : public Worker {
  public:
    Workspace(const Plan& plan, int channels, int width);  // for rectangles of at most that width
    bool fits(int channels, int width) const override { return channels == channels_ && width <= width_; }
    void restore(const Kernels& kernels, const Image& input, const Image& output, const Rectangle& wanted,
                 Watch& watch) override;

  private:
    struct Columns {
        int begin, end;
    };
    using Lines = const std::uint8_t * [2 * kMaxReach + 1];

    Columns columns(int margin) const;
    std::uint8_t* line(int plane, int row, int channel) const;  // at the wanted rectangle's first column
    void read_row(int row);
    void run_step(const Step& step, int row);
    void extend(int plane, int row, int channel, Columns filled) const;
    void write_rows(int row);
    void write_planes(int row) const;

    const Plan& plan_;
    int channels_, width_, margin_;
    std::ptrdiff_t stride_, out_stride_;
    std::vector<AlignedArray<std::uint8_t>> planes_;
    AlignedArray<std::uint8_t> out_;
    std::unique_ptr<Lines[]> lines_;
    std::unique_ptr<Scratch> scratch_;
    const Kernels* kernels_ = nullptr;
    Image input_{}, output_{};
    Rectangle wanted_{};
};

// A model of table lookups, run by Workspaces.
class StepProgram final : public Program {
  public:
    explicit StepProgram(Plan plan) : plan_(std::move(plan)) {}
    int scale() const override { return plan_.scale; }
    int colours() const override { return plan_.colours; }
    int margin() const override { return plan_.planes[0].margin; }
    int outputs() const override { return static_cast<int>(plan_.outputs.size()); }
    void prepare(const Kernels& kernels) override {
        if (kernels.cells) plan_.build_cells();
    }
    std::unique_ptr<Worker> worker(int channels, int width) const override {
        return std::make_unique<Workspace>(plan_, channels, width);
    }

  private:
    Plan plan_;
};

}  // namespace lutra
