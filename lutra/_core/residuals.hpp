// Models of residuals: an image of real numbers that tables of a few bits add to, stage by stage.
#pragma once

#include <array>
#include <utility>
#include <vector>

#include "program.hpp"

namespace lutra {

constexpr int kMostDirectTaps = 16, kMostDirectReach = 15, kMostEntries = 1 << 16;

// A table under four rotations: where its taps lie, and its entries with their blocks turned.
struct DirectTable {
    bool high = false;     // reads the high bits, else the low ones
    bool reflect = false;  // how the image continues, else by repeating its border
    int taps = 0;
    std::array<std::array<std::pair<int, int>, kMostDirectTaps>, 4> offsets{};  // (row, column)
    std::array<Vector<std::int8_t>, 4> entries;                                // [entry][upscale * upscale]
};

struct ResidualStep {
    int upscale = 1, low_bits = 4;
    int reach = 0;  // the furthest tap along an axis
    std::vector<DirectTable> tables;
    // What sums of the high and of the low bits add, from the least sum possible: (sum / tables) / 255.
    std::array<std::vector<float>, 2> shares;
    const float* share(int bits) const { return shares[bits].data() + shares[bits].size() / 2; }  // of the sum zero
};

struct ResidualPlan {
    int scale = 1, margin = 0;
    std::vector<ResidualStep> steps;
    void finish();  // throws std::invalid_argument
};

// Restores rectangles by bands of rows: every stage on the whole band, and what the next one reads around it.
class ResidualWorkspace final : public Worker {
  public:
    explicit ResidualWorkspace(const ResidualPlan& plan) : plan_(plan), areas_(plan.steps.size() + 1) {}
    bool fits(int, int) const override { return true; }
    void restore(const Kernels& kernels, const Image& input, const Image& output, const Rectangle& wanted,
                 Watch& watch) override;

  private:
    // A part of the image at the size of a stage, and the state in it.
    struct Area {
        Rectangle part{};
        int height = 0, width = 0;  // of the whole image
        Vector<float> state;
        int columns() const { return part.right - part.left; }
    };

    void place(const Image& input, const Rectangle& band);
    void run(const ResidualStep& step, const Area& from, Area& to);
    const Vector<std::uint8_t>& bits(const ResidualStep& step, const DirectTable& table, const Area& from,
                                     const Rectangle& core);
    void sum(const ResidualStep& step, const Rectangle& core, int row);
    void add(const ResidualStep& step, const Area& from, Area& to, int row);

    const ResidualPlan& plan_;
    std::vector<Area> areas_;
    std::array<Vector<std::uint8_t>, 4> planes_;  // of high or low bits, continued in either way
    std::array<bool, 4> filled_{};
    std::array<Vector<std::int32_t>, 2> sums_;  // of the high and the low bits, [pixel][upscale * upscale]
};

class ResidualProgram final : public Program {
  public:
    explicit ResidualProgram(ResidualPlan plan) : plan_(std::move(plan)) {}
    int scale() const override { return plan_.scale; }
    int margin() const override { return plan_.margin; }
    void prepare(const Kernels&) override {}
    std::unique_ptr<Worker> worker(int, int) const override { return std::make_unique<ResidualWorkspace>(plan_); }

  private:
    ResidualPlan plan_;
};

}  // namespace lutra
